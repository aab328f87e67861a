// A person at a client with Rust crypto. It takes requests as JSON lines on standard input, such as
//     {"id":1,"do":"say","room":"!r","text":"hello"}
// and answers {"id":1,"ok":…} or {"id":1,"error":"…"} on standard output; between answers it tells what it sees:
//     {"seen":{"event":{…},"encrypted":true,"why":"","shield":"","notifies":false,"highlights":false}}
// It leaves when standard input ends.
import "./missing.mjs";
import { keep, restore } from "./store.mjs";
import { write } from "./editor.mjs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { format } from "node:util";

const out = process.stdout.write.bind(process.stdout);
const tell = (message) => out(JSON.stringify(message) + "\n");
// The SDK logs to the console; standard output is ours.
for (const level of ["log", "debug", "info", "warn", "error", "trace"]) {
    console[level] = (...words) => process.stderr.write(format(...words) + "\n");
}
const sdk = await import("matrix-js-sdk");
const { EventShieldReason, OnlySignedDevicesIsolationMode, decodeRecoveryKey } = await import(
    "matrix-js-sdk/lib/crypto-api/index.js"
);

let client, folder, recovery, password;

const doing = {
    /** Starts the client: on a new device, or as the one that the folder keeps. */
    async start({ homeserver, user, folder: place, password: secret }) {
        folder = place;
        password = secret;
        await mkdir(folder, { recursive: true });
        const again = await restore(`${folder}/keys`);
        const session = again ? JSON.parse(await readFile(`${folder}/session`)) : await logIn(homeserver, user, secret);
        await writeFile(`${folder}/session`, JSON.stringify(session), { mode: 0o600 });
        client = sdk.createClient({ baseUrl: homeserver, ...session, cryptoCallbacks: { getSecretStorageKey, cacheSecretStorageKey } });
        await client.initRustCrypto();
        await beStrict();
        listen();
        const synced = new Promise((resolve) => client.on("sync", (state) => state === "PREPARED" && resolve()));
        await client.startClient({ initialSyncLimit: 200, lazyLoadMembers: false });
        await synced;
        return { user: session.userId, device: session.deviceId, crypto: client.getCrypto().getVersion() };
    },

    /** Makes a cross-signing identity and signs this device, as a new user's first client does; gives the recovery key. */
    async crossSign() {
        const crypto = client.getCrypto();
        await crypto.bootstrapCrossSigning({ setupNewCrossSigning: true, authUploadDeviceSigningKeys: withPassword });
        const key = await crypto.createRecoveryKeyFromPassphrase();
        await crypto.bootstrapSecretStorage({ setupNewSecretStorage: true, createSecretStorageKey: async () => key });
        await beStrict();
        return key.encodedPrivateKey;
    },

    /** Signs this device with the identity that lies under the recovery key, as a second device does. */
    async verify({ recoveryKey }) {
        recovery = decodeRecoveryKey(recoveryKey);
        await client.getCrypto().bootstrapCrossSigning({});
        await client.getCrypto().crossSignDevice(client.getDeviceId());
        await beStrict();
    },

    /** What this client shows of a user's devices. */
    async devices({ user }) {
        const crypto = client.getCrypto();
        const devices = (await crypto.getUserDeviceInfo([user], true)).get(user) ?? new Map();
        const shown = [];
        for (const device of devices.keys()) {
            const status = await crypto.getDeviceVerificationStatus(user, device);
            shown.push({ device, signedByOwner: status.signedByOwner, verified: status.isVerified(), name: devices.get(device).displayName ?? "" });
        }
        return shown;
    },

    /** Waits until a user is in a room, with the room as this client has it. */
    async joined({ room, user }) {
        const isIn = () => client.getRoom(room)?.getMember(user)?.membership === "join";
        await until("RoomMember.membership", isIn);
        await until("RoomState.events", () => client.getRoom(room).hasEncryptionStateEvent());
    },

    async say({ room, text, thread }) {
        const content = { msgtype: "m.text", body: text };
        if (thread) {
            content["m.relates_to"] = { rel_type: "m.thread", event_id: thread, is_falling_back: true, "m.in_reply_to": { event_id: thread } };
        }
        return send(room, "m.room.message", content);
    },

    /** Writes in Element's editor what a person at its keys would, and sends it as Element X does. */
    async compose({ room, keys, mentions }) {
        const { html, markdown } = await write(keys);
        return send(room, "m.room.message", {
            msgtype: "m.text", body: markdown, format: "org.matrix.custom.html", formatted_body: html, "m.mentions": mentions ? { user_ids: mentions } : {},
        });
    },

    async edit({ room, event, text }) {
        const content = { msgtype: "m.text", body: text };
        return send(room, "m.room.message", {
            ...content, body: "* " + text, "m.new_content": content, "m.relates_to": { rel_type: "m.replace", event_id: event },
        });
    },

    react: ({ room, event, key }) => send(room, "m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id: event, key } }),
    redact: async ({ room, event }) => (await client.redactEvent(room, event)).event_id,
};

async function logIn(homeserver, user, secret) {
    const answer = await sdk.createClient({ baseUrl: homeserver }).loginRequest({
        type: "m.login.password", identifier: { type: "m.id.user", user }, password: secret, initial_device_display_name: "foreign client",
    });
    return { userId: answer.user_id, deviceId: answer.device_id, accessToken: answer.access_token };
}

/** A signed device is as strict as Element: what unsigned devices say is not shown, and they are given no keys. */
async function beStrict() {
    const crypto = client.getCrypto();
    if (await crypto.isCrossSigningReady()) crypto.setDeviceIsolationMode(new OnlySignedDevicesIsolationMode());
}

const withPassword = async (upload) => {
    try {
        await upload(null);
    } catch (error) {
        if (error.httpStatus !== 401) throw error;
        const identifier = { type: "m.id.user", user: client.getUserId() };
        await upload({ type: "m.login.password", identifier, password, session: error.data.session });
    }
};

const getSecretStorageKey = async ({ keys }) => (recovery ? [Object.keys(keys)[0], recovery] : null);
const cacheSecretStorageKey = (_id, _about, key) => (recovery = key);

const send = async (room, type, content) => (await client.sendEvent(room, null, type, content)).event_id;

function until(event, holds) {
    return new Promise((resolve) => {
        const look = () => {
            if (!holds()) return;
            client.off(event, look);
            resolve();
        };
        client.on(event, look);
        look();
    });
}

function listen() {
    client.on("Room.myMembership", (room, membership) => {
        if (membership === "invite") client.joinRoom(room.roomId).catch((error) => console.error("joining", error));
    });
    let before = Promise.resolve(); // events are told in the order they came
    const show = (event) => (before = before.then(() => see(event)).catch((error) => console.error("showing", error)));
    client.on("event", (event) => {
        if (!event.getRoomId() || !event.getId()) return;
        show(event);
        event.on("Event.decrypted", () => show(event));
    });
}

const shields = Object.fromEntries(Object.entries(EventShieldReason).map(([name, value]) => [value, name]));

async function see(event) {
    await client.decryptEventIfNeeded(event);
    const content = event.isDecryptionFailure() ? event.getWireContent() : event.getOriginalContent();
    const relation = event.getWireContent()["m.relates_to"];
    const info = event.isEncrypted() && !event.isDecryptionFailure() ? await client.getCrypto().getEncryptionInfoForEvent(event) : null;
    const push = client.getPushActionsForEvent(event, true);
    const raw = event.event;
    tell({
        seen: {
            event: {
                event_id: event.getId(), room_id: event.getRoomId(), sender: event.getSender(), origin_server_ts: event.getTs(),
                type: event.isDecryptionFailure() ? raw.type : event.getType(), state_key: raw.state_key, redacts: raw.redacts,
                content: relation ? { ...content, "m.relates_to": relation } : content,
            },
            encrypted: event.isEncrypted(),
            why: event.decryptionFailureReason ?? "",
            shield: info?.shieldReason == null ? "" : shields[info.shieldReason],
            notifies: Boolean(push?.notify),
            highlights: Boolean(push?.tweaks?.highlight),
        },
    });
}

async function answer({ id, do: what, ...fields }) {
    try {
        tell({ id, ok: (await doing[what](fields)) ?? null });
    } catch (error) {
        console.error(what, error);
        tell({ id, error: `${what}: ${error.message}` });
    }
}

createInterface({ input: process.stdin })
    .on("line", (line) => answer(JSON.parse(line)))
    .on("close", async () => {
        client?.stopClient();
        if (client) await keep(`${folder}/keys`);
        process.exit(0);
    });
