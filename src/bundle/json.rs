//! JSON with bounds on the way in and one spelling on the way out.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Largest document: the manifest of 500 layers has some 150 kB, a run configuration less.
pub(super) const MAX_SIZE: u64 = 4 << 20;
const MAX_DEPTH: u32 = 64;

/// A document cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Longer than any of ours.
    #[error("{size} bytes are too many (at most {MAX_SIZE})")]
    TooLong {
        /// Found.
        size: u64,
    },
    /// Not JSON, nested deeper than 64, with a key twice, or not of the expected shape.
    #[error("it is not as it should be")]
    Shape(#[source] serde_json::Error),
}

/// Parses a document of ours: bounded, no key twice.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    if bytes.len() as u64 > MAX_SIZE {
        return Err(JsonError::TooLong { size: bytes.len() as u64 });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(JsonError::Shape)?;
    T::deserialize(value).map_err(JsonError::Shape)
}

/// The one way to write a value: keys sorted, no blanks.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    // Sorted here and not left to serde_json, whose map keeps insertion order when any crate asks for that.
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let entries: BTreeMap<&String, Value> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
                Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), value)).collect::<Map<_, _>>())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    serde_json::to_vec(&sorted(value)).unwrap_or_default()
}

#[derive(Clone, Copy)]
struct Strict {
    depth: u32,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut all = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if all.contains_key(&key) {
                return Err(serde::de::Error::custom(format!("key {key:?} is there twice")));
            }
            all.insert(key, value);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_documents_are_refused() {
        assert!(parse::<Value>(br#"{"a":1,"b":{"c":[1,2,null,true,"x"]}}"#).is_ok());
        let long = vec![b' '; (MAX_SIZE + 1) as usize];
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        for bad in
            [&b"{\"a\":1,\"a\":1}"[..], b"{\"x\":{\"a\":1,\"a\":2}}", b"\"\xff\"", b"{} x", b"", &long, deep.as_bytes()]
        {
            assert!(parse::<Value>(bad).is_err());
        }
        let fits = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(parse::<Value>(fits.as_bytes()).is_ok());
    }

    #[test]
    fn there_is_one_spelling() {
        let value: Value = serde_json::from_str(r#"{ "b": {"z":1, "y":[{"d":1,"c":2}]}, "a": "é" }"#).unwrap();
        assert_eq!(encode(&value), "{\"a\":\"é\",\"b\":{\"y\":[{\"c\":2,\"d\":1}],\"z\":1}}".as_bytes());
    }
}
