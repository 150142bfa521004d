//! JSON as CBOR and back. A number of seconds under the only key `$time` is a time.

use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Value};

const TIME: &str = "$time";

pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    put(&mut encoder, value);
    encoder.into_writer()
}

fn put(encoder: &mut Encoder<Vec<u8>>, value: &Value) {
    match value {
        Value::Null => drop(encoder.null().unwrap()),
        Value::Bool(value) => drop(encoder.bool(*value).unwrap()),
        Value::Number(number) => match number.as_i64() {
            Some(number) => drop(encoder.i64(number).unwrap()),
            None => drop(encoder.f64(number.as_f64().unwrap()).unwrap()),
        },
        Value::String(text) => drop(encoder.str(text).unwrap()),
        Value::Array(values) => {
            encoder.array(u64::try_from(values.len()).unwrap()).unwrap();
            for value in values {
                put(encoder, value);
            }
        }
        Value::Object(map) if map.contains_key(TIME) => {
            encoder.tag(Tag::new(1)).unwrap().f64(map[TIME].as_f64().unwrap()).unwrap();
        }
        Value::Object(map) => {
            encoder.map(u64::try_from(map.len()).unwrap()).unwrap();
            for (key, value) in map {
                encoder.str(key).unwrap();
                put(encoder, value);
            }
        }
    }
}

pub(super) fn decode(bytes: &[u8]) -> Option<Value> {
    take(&mut Decoder::new(bytes)).ok()
}

fn take(decoder: &mut Decoder<'_>) -> Result<Value, minicbor::decode::Error> {
    Ok(match decoder.datatype()? {
        Type::Bool => decoder.bool()?.into(),
        Type::String | Type::StringIndef => decoder.str_iter()?.collect::<Result<String, _>>()?.into(),
        Type::F16 | Type::F32 | Type::F64 => decoder.f64()?.into(),
        Type::Tag => {
            decoder.tag()?;
            take(decoder)?
        }
        Type::Array | Type::ArrayIndef => {
            let mut values = Vec::new();
            let mut left = decoder.array()?;
            while more(decoder, &mut left)? {
                values.push(take(decoder)?);
            }
            values.into()
        }
        Type::Map | Type::MapIndef => {
            let mut map = Map::new();
            let mut left = decoder.map()?;
            while more(decoder, &mut left)? {
                let key = decoder.str()?.to_owned();
                map.insert(key, take(decoder)?);
            }
            map.into()
        }
        Type::Null => {
            decoder.null()?;
            Value::Null
        }
        _ => decoder.i64()?.into(),
    })
}

/// Whether a list goes on: by its length, or until its end.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, minicbor::decode::Error> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}
