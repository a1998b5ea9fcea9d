use serde::{Deserialize, Serialize};

/// What the agent answers to a request that is not for a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// It was done.
    Done {
        /// What, in words.
        done: String,
    },
    /// It was not.
    Refused {
        /// Why, in words; may have several lines.
        error: String,
        /// The exit code that fits, where the reason has one of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<u8>,
    },
}

impl Answer {
    /// One that has no exit code of its own.
    pub fn refused(error: impl Into<String>) -> Self {
        Answer::Refused { error: error.into(), exit: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_as_promised() {
        let text = |answer: Answer| serde_json::to_string(&answer).expect("json");
        assert_eq!(text(Answer::Done { done: "x".to_owned() }), r#"{"done":"x"}"#);
        assert_eq!(text(Answer::refused("no")), r#"{"error":"no"}"#);
        let refused = Answer::Refused { error: "no".to_owned(), exit: Some(78) };
        assert_eq!(text(refused.clone()), r#"{"error":"no","exit":78}"#);
        assert_eq!(serde_json::from_str::<Answer>(&text(refused.clone())).expect("read"), refused);
    }
}
