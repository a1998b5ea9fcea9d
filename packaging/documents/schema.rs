//! The JSON Schema of the configuration, for editors: draft 7, which those that read TOML know.

use locum::config::keys::{self, Default, Key, Kind, Table};
use serde_json::{Value, json};

/// Names that administrators choose.
const NAME: &str = "^[A-Za-z0-9._-]{1,64}$";
const ADDRESS: &str = "^[0-9A-Fa-f.:]+/[0-9]{1,3}$";
const HOST: &str = "^[0-9A-Fa-f.:]+$";
const DURATION: &str = "^([0-9]+(ms|s|m|h)|[0-9]+\\.[0-9]+s)$";

/// The schema as text.
pub fn text() -> String {
    let mut root = object();
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!("Configuration of locum");
    for table in &keys::TABLES {
        place(&mut root, table);
    }
    let mut text = serde_json::to_string_pretty(&root).expect("JSON");
    text.push('\n');
    text
}

fn object() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

/// Puts a table where its header says, below those that its header names before it.
fn place(root: &mut Value, table: &Table) {
    let path: Vec<&str> = table.header.trim_matches(['[', ']']).split('.').collect();
    let mut at = root;
    for (depth, part) in path.iter().enumerate() {
        let last = depth + 1 == path.len();
        at = match *part {
            "NAME" => {
                at["propertyNames"] = json!({ "pattern": NAME });
                if !at["additionalProperties"].is_object() {
                    at["additionalProperties"] = object();
                }
                &mut at["additionalProperties"]
            }
            name => {
                if at["properties"].get(name).is_none() {
                    at["properties"][name] = object();
                }
                &mut at["properties"][name]
            }
        };
        if last {
            fill(at, table);
        }
    }
}

fn fill(at: &mut Value, table: &Table) {
    at["description"] = json!(table.doc);
    for key in table.keys {
        at["properties"][key.name] = property(key);
    }
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.default == Default::Required).map(|key| key.name).collect();
    if !required.is_empty() {
        at["required"] = json!(required);
    }
}

fn property(key: &Key) -> Value {
    let mut property = match key.kind {
        Kind::Name => json!({ "type": "string", "pattern": NAME }),
        Kind::Interface => json!({ "type": "string", "minLength": 1, "maxLength": 15 }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Duration { .. } => json!({ "type": "string", "pattern": DURATION }),
        Kind::Choice(choices) => json!({ "enum": choices }),
        Kind::Addresses => json!({ "type": "array", "minItems": 1, "items": elements(key.name) }),
        Kind::Address => json!({ "type": "string", "pattern": ADDRESS }),
        Kind::Host => json!({ "type": "string", "pattern": HOST }),
        Kind::Hosts => json!({ "type": "array", "items": { "type": "string", "pattern": HOST } }),
        Kind::Checks => json!({ "type": "array", "items": { "type": "string", "pattern": NAME } }),
        Kind::Interfaces => json!({ "type": "array", "items": { "type": "string", "minLength": 1, "maxLength": 15 } }),
        Kind::Command => json!({ "type": "array", "minItems": 1, "items": { "type": "string" } }),
        Kind::Table => inner(key.name),
        Kind::Keys => json!({ "type": "array", "minItems": 1, "items": inner(key.name) }),
        Kind::Password => json!({ "type": "string", "minLength": 1, "maxLength": 8 }),
        Kind::File => json!({ "type": "string", "pattern": "^/" }),
    };
    property["description"] = json!(key.doc);
    match key.default {
        Default::Required | Default::Words(_) => {}
        Default::Value(value) => {
            // A default is written as TOML; what these defaults are made of reads the same as JSON.
            property["default"] = serde_json::from_str(value).expect("a default that is JSON too");
        }
    }
    property
}

/// A table within another one, of this name.
fn inner(name: &str) -> Value {
    let mut at = object();
    for table in keys::INNER_TABLES.iter().filter(|table| table.name == name) {
        fill(&mut at, table);
        if *table == keys::VIRTUAL_ROUTER_AUTH {
            // Version 2 knows the password alone, version 3 all but that.
            let keyed: Vec<&str> = table.keys.iter().filter(|key| **key != keys::PASS).map(|key| key.name).collect();
            at["required"] = json!([]);
            at["oneOf"] = json!([{ "required": keyed }, { "required": [keys::PASS.name] }]);
        }
    }
    at
}

/// What an element of the array of this name can be: an address, or a table that says more about it.
fn elements(name: &str) -> Value {
    let tables = keys::INNER_TABLES.iter().filter(|table| table.name == name).map(|table| {
        let mut element = object();
        fill(&mut element, table);
        element
    });
    let all: Vec<Value> = std::iter::once(json!({ "type": "string", "pattern": ADDRESS })).chain(tables).collect();
    json!({ "anyOf": all })
}
