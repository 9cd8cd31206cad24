//! Signing secrets and signatures of Standard Webhooks 1.0.0, symmetric (`v1`).

use std::fmt::{self, Write};

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
/// Padded or not: both are in use.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The `webhook-signature` of a body: one `v1,<base64>` per live secret,
/// separated by spaces, so that a receiver may hold the old or the new one.
///
/// Signs `id.timestamp.body` over the exact bytes; `timestamp` is in seconds
/// since 1970.
pub fn sign(secrets: &[WebhookSecret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut signatures = String::new();
    for secret in secrets {
        if !signatures.is_empty() {
            signatures.push(' ');
        }
        let mac = secret.mac(&[id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body]);
        // Writing to a `String` cannot fail.
        let _ = write!(signatures, "v1,{}", STANDARD.encode(mac));
    }
    signatures
}

/// A signing secret: 24 to 64 bytes, never shown unless asked for by name.
#[derive(Clone)]
pub struct WebhookSecret(SecretSlice<u8>);

/// Why a text is no secret; says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It does not begin with `whsec_`.
    #[error("a webhook secret begins with whsec_")]
    Prefix,
    /// What follows is not base64.
    #[error("a webhook secret is base64 after its prefix")]
    Encoding,
    /// Fewer than 24 or more than 64 bytes.
    #[error("a webhook secret has 24 to 64 bytes")]
    Length,
}

impl WebhookSecret {
    /// Reads `whsec_<base64>`.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        let bytes = LENIENT.decode(encoded).map_err(|_| SecretError::Encoding)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(SecretError::Length);
        }
        Ok(Self(bytes.into()))
    }

    /// A new secret of 32 random bytes, drawn by the caller.
    pub fn generate(random: [u8; 32]) -> Self {
        Self(random.to_vec().into())
    }

    /// The secret as its owner configures it, `whsec_<base64>`.
    pub fn reveal(&self) -> SecretString {
        format!("{PREFIX}{}", STANDARD.encode(self.0.expose_secret())).into()
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret())
            // HMAC takes a key of any length.
            .expect("a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const SPEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn theirs(secret: &WebhookSecret) -> standardwebhooks::Webhook {
        standardwebhooks::Webhook::new(secret.reveal().expose_secret()).expect("a secret")
    }

    #[test]
    fn the_example_of_the_specification_is_signed_as_published() {
        let secret = WebhookSecret::parse(SPEC).expect("a secret");
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn every_live_secret_signs_as_the_reference_library_does() {
        let secrets = [WebhookSecret::generate([7; 32]), WebhookSecret::parse(SPEC).expect("a secret")];
        let body = "{\"näme\":\"x\"}";
        let ours = sign(&secrets, "run-1", 1_700_000_000, body.as_bytes());
        let parts: Vec<&str> = ours.split(' ').collect();
        for (secret, part) in secrets.iter().zip(&parts) {
            let expected = theirs(secret).sign("run-1", 1_700_000_000, body.as_bytes());
            assert_eq!(*part, expected.expect("utf-8"));
        }
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn a_secret_reads_back_what_it_reveals() {
        let secret = WebhookSecret::generate(*b"0123456789abcdef0123456789abcdef");
        let text = secret.reveal();
        let again = WebhookSecret::parse(text.expose_secret()).expect("a secret");
        assert_eq!(again.reveal().expose_secret(), text.expose_secret());
        let unpadded = text.expose_secret().trim_end_matches('=').to_owned();
        assert!(WebhookSecret::parse(&unpadded).is_ok());
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let error = |text: &str| WebhookSecret::parse(text).expect_err(text);
        assert_eq!(error("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), SecretError::Prefix);
        assert_eq!(error("whsec_!!!"), SecretError::Encoding);
        assert_eq!(error("whsec_"), SecretError::Length);
        assert_eq!(error(&format!("whsec_{}", STANDARD.encode([1; 23]))), SecretError::Length);
        assert_eq!(error(&format!("whsec_{}", STANDARD.encode([1; 65]))), SecretError::Length);
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = WebhookSecret::parse(SPEC).expect("a secret");
        assert_eq!(format!("{secret:?}"), "WebhookSecret(hidden)");
    }
}
