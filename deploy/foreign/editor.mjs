// Element's rich text editor, the Rust of Element X and Element Web compiled to WebAssembly: what it makes of what is typed is what these
// clients send. Its npm package carries the editor itself in a folder of its own, and only the code around it needs a browser.
import {
    initAsync, new_composer_model,
} from "./node_modules/@vector-im/matrix-wysiwyg/node_modules/@vector-im/matrix-wysiwyg-wasm/node.js";

const strike = {
    text: (model, text) => model.replace_text(text),
    mention: (model, user, name) => model.insert_mention("https://matrix.to/#/" + user, name, new Map([["data-mention-type", "user"]])),
    enter: (model) => model.enter(),
    bold: (model) => model.bold(),
    code: (model) => model.code_block(),
    list: (model) => model.unordered_list(),
};

/** What is typed, such as [["text", "hello"], ["enter"]], as the HTML and the Markdown of the message that is sent. */
export async function write(keys) {
    await initAsync();
    const model = new_composer_model();
    for (const [key, ...what] of keys) {
        strike[key](model, ...what);
    }
    return { html: model.get_content_as_message_html(), markdown: model.get_content_as_message_markdown() };
}
