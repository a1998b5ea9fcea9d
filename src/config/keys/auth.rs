use super::{Default, Key, Kind, Table};

/// `virtual_router.NAME.auth.pass`
pub const PASS: Key = Key {
    name: "pass",
    kind: Kind::Password,
    default: Default::Words("none; version 3 knows no password"),
    example: "\"s3cret\"",
    doc: "Version 2 only, and alone in its table: the password in plain text, 1 to 8 bytes, the same on all nodes.",
};

/// `virtual_router.NAME.auth.mode`
pub const AUTH_MODE: Key = Key {
    name: "mode",
    kind: Kind::Choice(&["enforce", "permissive", "receive-only"]),
    default: Default::Required,
    example: "\"enforce\"",
    doc: "Whether adverts must be authenticated; the other two are steps on the way there.",
};

/// `virtual_router.NAME.auth.active_key`
pub const ACTIVE_KEY: Key = Key {
    name: "active_key",
    kind: Kind::Integer { min: 1, max: 255 },
    default: Default::Required,
    example: "1",
    doc: "The id of the key that this node's own adverts are sent under.",
};

/// `virtual_router.NAME.auth.keys`
pub const AUTH_KEYS: Key = Key {
    name: "keys",
    kind: Kind::Keys,
    default: Default::Required,
    example: "[{ id = 1, file = \"/etc/locum/keys/web\" }]",
    doc: "The keys that adverts may come under, the same on all nodes.",
};

/// `virtual_router.NAME.auth.keys.id`
pub const KEY_ID: Key = Key {
    name: "id",
    kind: Kind::Integer { min: 1, max: 255 },
    default: Default::Required,
    example: "1",
    doc: "The number that an advert names the key by.",
};

/// `virtual_router.NAME.auth.keys.file`
pub const KEY_FILE: Key = Key {
    name: "file",
    kind: Kind::File,
    default: Default::Required,
    example: "\"/etc/locum/keys/web\"",
    doc: "The file with the key, 32 to 64 bytes of ASCII or `hex:` and digits, that nobody else may read.",
};

/// `[virtual_router.NAME.auth]`
pub const VIRTUAL_ROUTER_AUTH: Table = Table {
    name: "auth",
    header: "[virtual_router.NAME.auth]",
    keys: &[AUTH_MODE, ACTIVE_KEY, AUTH_KEYS, PASS],
    doc: "How the adverts of a virtual router are authenticated.",
};

/// An element of `keys` in `[virtual_router.NAME.auth]`
pub const AUTH_KEY: Table =
    Table { name: "keys", header: "keys = [{ id = ID, file = FILE }]", keys: &[KEY_ID, KEY_FILE], doc: "A key." };
