// Draws what people saw (seen.json in the folder given) as a phone shows it, 390 pixels wide, light and dark: each message
// with its reactions under it and its thread, notices muted, HTML with nothing but the tags and attributes a client allows.
// Several phones stand side by side on a sheet: FOLDER/light-1.png, FOLDER/dark-1.png, …
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";

const folder = resolve(process.argv[2]);
const seen = JSON.parse(await readFile(`${folder}/seen.json`));
const browser = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (!browser) throw new Error("there is no Chromium here; on Debian: apt-get install chromium fonts-noto-color-emoji fonts-inter");

const gone = new Set(seen.filter((s) => s.redacts).map((s) => s.redacts));
const cards = seen
    .filter((s) => s.kind && !s.thread && !s.edits && !gone.has(s.id))
    .map((root) => ({ ...shown(root), replies: seen.filter((s) => s.thread === root.id && s.kind && !s.edits).map(shown) }));

function shown(message) {
    const edits = seen.filter((s) => s.edits === message.id);
    const { body, html } = edits.at(-1) ?? message;
    const reactions = {};
    for (const s of seen) {
        if (s.to === message.id && !gone.has(s.id)) reactions[s.reaction] = (reactions[s.reaction] ?? 0) + 1;
    }
    return { ...message, body, html, edited: edits.length > 0, reactions };
}

const page = `<!doctype html><meta charset="utf-8"><style>
:root { --back: #fff; --text: #1b1d22; --mute: #656d77; --line: #e1e6ec; --code: #f0f2f5; --link: #0467dd; --pill: #f0f2f5; --ring: #007a61 }
.dark { --back: #101317; --text: #ebeef2; --mute: #808994; --line: #26282d; --code: #26282d; --link: #5187f1; --pill: #26282d; --ring: #129a78 }
body { margin: 0; background: #888; font: 15px/1.45 Inter, "DejaVu Sans", sans-serif, "Noto Color Emoji" }
.sheet { display: none; gap: 12px; align-items: flex-start; padding: 12px }
.phone { width: 390px; box-sizing: border-box; padding: 8px 12px; background: var(--back); color: var(--text); overflow: hidden }
.card { border-top: 1px solid var(--line); padding: 8px 0 }
.room, .who, .edited, .count { font-size: 12px; color: var(--mute) }
.who { font-weight: 600; margin-top: 6px }
.m-notice .said { color: var(--mute) }
.rings { border-left: 3px solid var(--ring); padding-left: 6px }
.thread { margin-left: 14px; padding-left: 10px; border-left: 2px solid var(--line) }
.said { overflow-wrap: anywhere; unicode-bidi: isolate } .plain { white-space: pre-wrap }
.said p { margin: 0 0 6px } .said ul, .said ol { margin: 2px 0 6px; padding-left: 20px }
code, pre { font: 13px "DejaVu Sans Mono", monospace; background: var(--code); border-radius: 4px; padding: 1px 4px; overflow-wrap: anywhere }
blockquote { margin: 4px 0; padding-left: 8px; border-left: 2px solid var(--mute); color: var(--mute) }
.said img { display: block; width: 100%; border-radius: 8px; margin: 2px 0 6px }
.said a { color: var(--link); text-decoration: none } .said a[href*="matrix.to"] { background: var(--pill); border-radius: 9px; padding: 1px 6px }
.reaction { display: inline-block; font-size: 13px; border: 1px solid var(--line); border-radius: 12px; padding: 0 8px; margin: 3px 4px 0 0 }
</style><body><script>
const cards = ${JSON.stringify(cards).replaceAll("<", "\\u003c")};
const allowed = new Set("DEL H1 H2 H3 H4 H5 H6 BLOCKQUOTE P A UL OL SUP SUB LI B I U STRONG EM S CODE HR BR DIV TABLE THEAD TBODY TR TH TD CAPTION PRE SPAN IMG DETAILS SUMMARY".split(" "));
function sanitised(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    for (const element of [...template.content.querySelectorAll("*")]) {
        if (!allowed.has(element.tagName)) element.replaceWith(...element.childNodes);
        for (const { name, value } of [...element.attributes]) {
            const fits = element.tagName === "A" ? name === "href" && /^(https?|ftp|mailto|magnet):/.test(value) : element.tagName === "OL" && name === "start";
            if (!fits) element.removeAttribute(name);
        }
    }
    return template.content;
}
const made = (name, text) => Object.assign(document.createElement("div"), { className: name, textContent: text ?? "" });
function message(m) {
    const whole = made(m.kind.replace(".", "-") + (m.kind === "m.text" && m.sender.startsWith("mosaic") ? " rings" : ""));
    const said = made("said");
    if (m.picture) said.append(Object.assign(document.createElement("img"), { src: m.picture, alt: m.body })); // a body without a file name is no caption
    else if (m.html) said.append(sanitised(m.html));
    else { said.classList.add("plain"); said.textContent = m.body; }
    whole.append(made("who", m.sender.replace(/-[0-9a-f]{8}$/, "").replace(/^our-/, "")), said);
    if (m.edited) whole.append(made("edited", "(edited)"));
    for (const [key, count] of Object.entries(m.reactions)) whole.append(made("reaction", key + " " + count));
    return whole;
}
const [, shade, which] = location.hash.match(/#(light|dark)-(\\d+)/) ?? [, "light", "1"];
document.body.className = shade;
const height = 1900, across = 5;
let sheet, phone;
for (const card of cards) {
    const drawn = made("card");
    drawn.append(made("room", "#" + card.room), message(card));
    if (card.replies.length) {
        const thread = made("thread");
        thread.append(...card.replies.map(message));
        drawn.append(thread);
    }
    const turn = () => {
        if (!sheet || sheet.childElementCount === across) document.body.append((sheet = made("sheet")));
        sheet.style.display = "flex";
        sheet.append((phone = made("phone")));
    };
    if (!phone) turn();
    phone.append(drawn);
    if (phone.offsetHeight > height && phone.childElementCount > 1) { drawn.remove(); turn(); phone.append(drawn); }
}
const sheets = [...document.querySelectorAll(".sheet")];
sheets.forEach((each, at) => (each.style.display = at + 1 === Number(which) ? "flex" : "none"));
document.body.dataset.sheets = sheets.length;
document.body.dataset.height = sheets[which - 1].offsetHeight;
</script>`;
await writeFile(`${folder}/page.html`, page);

const chromium = (...options) =>
    execFileSync(browser, ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=2024,1000", ...options], {
        encoding: "utf8", stdio: ["ignore", "pipe", "ignore"],
    });
const measure = (at) => chromium("--dump-dom", at).match(/<body[^>]*data-sheets="(\d+)" data-height="(\d+)"/).slice(1).map(Number);
const [sheets] = measure(`file://${folder}/page.html#light-1`);
for (let sheet = 1; sheet <= sheets; sheet++) {
    for (const shade of ["light", "dark"]) {
        const at = `file://${folder}/page.html#${shade}-${sheet}`;
        const [, height] = measure(at);
        chromium(`--window-size=2024,${height}`, `--screenshot=${folder}/${shade}-${sheet}.png`, at);
        console.log(`${folder}/${shade}-${sheet}.png`);
    }
}
