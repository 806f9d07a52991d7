//! The actor cookie: a random id that stays with a browser, so that the log can tell authors apart from the first day
//! without accounts. It names nobody and proves nothing.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderValue};

const COOKIE: &str = "coscribe_actor";
const YEAR_SECONDS: u32 = 365 * 24 * 3600;

/// 128 random bits in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor(Arc<str>);

impl Actor {
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()).into())
    }

    /// Takes the cookie of a request, if it is one that we made.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(header::COOKIE)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find(|(name, value)| *name == COOKIE && is_actor(value))
            .map(|(_, value)| Self(value.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `Set-Cookie`; a script never needs it, and another site never sends it along with what it starts.
    pub fn set_cookie(&self, https: bool) -> HeaderValue {
        let secure = if https { "; Secure" } else { "" };
        let cookie = format!(
            "{COOKIE}={}; Path=/; Max-Age={YEAR_SECONDS}; HttpOnly; SameSite=Lax{secure}",
            self.0
        );
        HeaderValue::from_str(&cookie).expect("hexadecimal and ASCII words")
    }
}

fn is_actor(value: &str) -> bool {
    value.len() == 32
        && value
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cookie_of_ours_makes_an_actor() {
        let actor = Actor::random();
        let found = |cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
            Actor::from_headers(&headers)
        };
        assert_eq!(
            found(&format!("a=b; coscribe_actor={}; c=d", actor.as_str())),
            Some(actor.clone())
        );
        assert_eq!(found("coscribe_actor=alice"), None);
        assert_eq!(
            found(&format!(
                "coscribe_actor={}",
                actor
                    .as_str()
                    .to_uppercase()
                    .replace(|c: char| c.is_ascii_digit(), "A")
            )),
            None
        );
        assert_ne!(Actor::random(), actor);
        assert!(
            actor
                .set_cookie(true)
                .to_str()
                .unwrap()
                .ends_with("; HttpOnly; SameSite=Lax; Secure")
        );
    }
}
