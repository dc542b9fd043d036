//! What secrets look like. Named forms first; then values that a telling name stands before.

use std::sync::LazyLock;

use regex::Regex;

use super::decode;

/// A rule: its name, its pattern (group 1 is the secret, else all of it), and what its value must pass besides.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) pattern: Regex,
    pub(super) guard: Guard,
    /// One of these must be in the lower-cased text; searching for them is many times cheaper than the pattern.
    pub(super) needles: &'static [&'static str],
}

/// What a matched value must pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Guard {
    /// Nothing: the form itself is telling.
    None,
    /// It is no placeholder, variable or word for a secret.
    Real,
    /// The same, and it looks random: letters and digits, long enough.
    Random,
    /// The same as `Real`, and letters with digits or signs: a password that stands without quotes.
    Mixed,
}

/// Named forms. Most are the issuers' own, documented prefixes.
#[rustfmt::skip]
const NAMED: &[(&str, &str)] = &[
    ("aws-access-key", r"\b((?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})\b"),
    ("aws-secret-key", r#"(?i)(?:aws.{0,20}?secret|secret.{0,3}access.{0,3}key|aws.{0,10}\bsk\b)[\w"' ]{0,30}?\\?["']?\s*(?:=>|:=|=|:|,|\s)\s*\\?["']?([A-Za-z0-9/+]{32,64})(?:[^A-Za-z0-9/+]|$)"#),
    ("github-token", r"\b(gh[pousr]_[A-Za-z0-9]{30,255})"),
    ("github-token", r"\b(github_pat_[A-Za-z0-9_]{40,255})"),
    ("gitlab-token", r"\b(gl(?:pat|oas|rt|cbt|dt|ft|imt|agent|soat|ptt)-[A-Za-z0-9_=-]{18,})"),
    ("slack-token", r"\b(xox[abposre]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,})"),
    ("slack-webhook", r"(https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9_/+-]{20,})"),
    ("anthropic-key", r"\b(sk-ant-[A-Za-z0-9_-]{20,})"),
    ("openai-key", r"\b(sk-(?:proj|svcacct|admin|None|or-v1)-[A-Za-z0-9_-]{20,})"),
    ("openai-key", r"\b(sk-[A-Za-z0-9]{32,})\b"),
    ("huggingface-token", r"\b((?:hf|api_org)_[A-Za-z0-9]{28,})\b"),
    ("google-api-key", r"\b(AIza[0-9A-Za-z_-]{33,})"),
    ("google-oauth", r"\b(GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,})"),
    ("stripe-key", r"\b((?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/]{24,})"),
    ("azure-key", r"(?i)(?:AccountKey|SharedAccessKey)\s*=\s*([A-Za-z0-9+/]{40,}={0,2})"),
    ("azure-sas", r"[?&;]sig=([A-Za-z0-9%+/]{40,}(?:=|%3D)?)"),
    ("azure-secret", r"\b([A-Za-z0-9_~.]{3}8Q~[A-Za-z0-9_~.-]{31,34})"),
    ("private-key", r"(-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s:,.()-]{20,}?(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|$))"),
    ("putty-key", r"(PuTTY-User-Key-File-[23]:[\s\S]{20,4000}?Private-MAC: ?[0-9a-f]+)"),
    ("age-key", r"\b(AGE-SECRET-KEY-1[0-9A-Z]{50,})"),
    ("jwt", r"\b(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{10,})"),
    ("npm-token", r"\b(npm_[A-Za-z0-9]{30,})\b"),
    ("npm-token", r"_(?:authToken|password|auth)\s*=\s*([A-Za-z0-9+/=_-]{16,})"),
    ("pypi-token", r"\b(pypi-[A-Za-z0-9_-]{40,})"),
    ("kaggle-key", r#""username"\s*:\s*"[^"]{1,64}"\s*,\s*"key"\s*:\s*"([0-9a-f]{32})""#),
    ("kaggle-key", r"\b(KGAT_[0-9a-f]{32})"),
    ("sendgrid-key", r"\b(SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})"),
    ("mailgun-key", r"\b(key-[0-9a-f]{32})\b"),
    ("twilio-key", r"\b(SK[0-9a-f]{32})\b"),
    ("digitalocean-token", r"\b(do[oprt]_v1_[0-9a-f]{64})\b"),
    ("databricks-token", r"\b(dapi[0-9a-f]{32}(?:-[0-9])?)\b"),
    ("telegram-token", r"\b([0-9]{8,10}:AA[A-Za-z0-9_-]{32,34})"),
    ("discord-token", r"\b([MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,})"),
    ("discord-webhook", r"(https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/[0-9]{10,}/[A-Za-z0-9_-]{40,})"),
    ("vault-token", r"\b(hv[sbr]\.[A-Za-z0-9_-]{24,})"),
    ("terraform-token", r"\b([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,})"),
    ("docker-token", r"\b(dckr_pat_[A-Za-z0-9_-]{20,})"),
    ("service-token", r"\b((?:r8_|gsk_|pplx-|xai-|nvapi-|lin_api_|PMAK-|shp(?:at|ca|pa|ss)_|sq0(?:atp|csp)-|NRAK-|sntrys_|sntryu_|glsa_|glc_|pscale_(?:tkn|pw|oauth)_|sbp_|figd_|HRKU-|pul-|rubygems_|dp\.pt\.|dop_v1_|tfp_|ntn_|secret_|EAAC|eyJrIjoi|FlyV1 |cio[A-Z]|CFPAT-|PMAT-|ddp_|ATATT3|ATCTT3|wandb_v1_|jina_|tvly-|co_)[A-Za-z0-9_=.-]{28,})"),
    ("airtable-token", r"\b(pat[A-Za-z0-9]{14}\.[0-9a-f]{64})\b"),
    // A conda channel's address with its token (`/t/TOKEN/CHANNEL`).
    ("conda-token", r"https?://[A-Za-z0-9.:_-]{3,100}/t/([a-z]{2}-[A-Za-z0-9-]{24,})"),
    ("dropbox-token", r"\b(sl\.[A-Za-z0-9_-]{100,})"),
];

/// Values with a telling name before them.
#[rustfmt::skip]
const GUARDED: &[(&str, Guard, &str)] = &[
    ("url-password", Guard::Real, r#"\b[a-zA-Z][a-zA-Z0-9+._-]{1,20}://[^\s:/@'"<>]{0,64}:([^\s/@'"<>]{3,128})@[A-Za-z0-9_.\[-]"#),
    ("url-token", Guard::Random, r#"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://([^\s:/@'"<>]{16,128})@[A-Za-z0-9_.\[-]"#),
    ("authorization", Guard::Real, r#"(?i)authorization\\?["']?\s*[\]:=,]\s*[fbr]?\\?["']?(?:bearer|token|basic|apikey|digest)\s+([A-Za-z0-9._~+/=-]{12,})"#),
    ("authorization", Guard::Random, r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{20,})"),
    ("password", Guard::Real, r#"(?i)(?:password|passwd|passphrase|passwort|_pwd|_pass|\bpass)[\]"']{0,3}\s*(?::\s*str\s*)?(?:==?|:=|=>|:)\s*[fbru]{0,2}"([^"\n]{5,200})""#),
    ("password", Guard::Real, r"(?i)(?:password|passwd|passphrase|passwort|_pwd|_pass|\bpass)[\]'\x22]{0,3}\s*(?::\s*str\s*)?(?:==?|:=|=>|:)\s*[fbru]{0,2}'([^'\n]{5,200})'"),
    // `pwd` alone is also the working directory, and a command.
    ("password", Guard::Mixed, r#"(?i)\bpwd[\]"']{0,3}\s*(?::\s*str\s*)?(?:==?|:=|=>|:)\s*[fbru]{0,2}"([^"\n]{5,200})""#),
    ("password", Guard::Mixed, r"(?i)\bpwd[\]'\x22]{0,3}\s*(?::\s*str\s*)?(?:==?|:=|=>|:)\s*[fbru]{0,2}'([^'\n]{5,200})'"),
    ("password", Guard::Mixed, r#"(?i)(?:password|passwd|passphrase|passwort|pwd)["']\s*,\s*["']([^"'\n\s]{6,128})["']"#),
    ("password", Guard::Mixed, r#"(?im)(?:password|passwd|passphrase|passwort|\bpwd|_pwd|_pass)[ \t]*(?:=|:|is)[ \t]*([^\s"'(){},;<>]{6,128})(?:[\s,;"'<>)}\]&]|$)"#),
    ("password-option", Guard::Real, r#"(?i)(?:^|\s)--?(?:password|passwd|passphrase|db-pass)[= ]["']?([^\s"']{5,128})"#),
    ("secret", Guard::Random, r#"(?i)(?:secret|api[_.-]?key|apikey|access[_.-]?key|auth[_.-]?key|account[_.-]?key|license[_.-]?key|private[_.-]?key|encryption[_.-]?key|signing[_.-]?key|client[_.-]?key|token|credential|\bauth|\bapp_?id|_key|_pat\b)s?[A-Za-z0-9_-]{0,16}[\]"']{0,3}\s*(?::\s*str\s*)?(?:==?|:=|=>|:|,)\s*[fbru]{0,2}["']([^"'\s]{12,})["']"#),
    ("secret", Guard::Random, r#"(?im)(?:secret|api[_.-]?key|apikey|access[_.-]?key|auth[_.-]?key|account[_.-]?key|license[_.-]?key|private[_.-]?key|encryption[_.-]?key|signing[_.-]?key|token|credential|_key|_pat\b)[A-Za-z0-9_-]{0,16}(?:[ \t]?[=:][ \t]?| is |\t| {2,20})([^\s"'(){},;<>&][^\s"'(){},;<>]*)"#),
    ("secret-option", Guard::Random, r#"(?i)(?:^|\s)--?(?:[A-Za-z0-9_-]{0,20}token|[A-Za-z0-9_-]{0,20}secret|[A-Za-z0-9_-]{0,20}api-?key|auth)[= ]["']?([^\s"']{12,})"#),
    // A pair of name and password, as request libraries take it.
    ("password", Guard::Real, r#"(?i)\bauth\s*=\s*\(\s*[fbru]{0,2}["'][^"'\n]{0,64}["']\s*,\s*[fbru]{0,2}["']([^"'\n]{4,128})["']"#),
    // Functions that are called with a credential: its name says it, whatever the argument is called.
    ("call-secret", Guard::Mixed, r#"(?i)(?:login|log_in|sign_in|authenticate|basic_?auth|digest_?auth|token_?auth|set_(?:api_)?key|set_token|from_key|from_token|fernet)\(\s*(?:[a-z_]{1,32}\s*=\s*)?(?:[fbru]{0,2}["'][^"'\n]{0,128}["']\s*,\s*|[a-z_.]{1,64}\s*,\s*){0,3}(?:[a-z_]{1,32}\s*=\s*)?[fbru]{0,2}["']([^"'\s]{8,})["']"#),
    ("netrc-password", Guard::Real, r#"(?i)\bmachine\s+\S{1,128}\s+login\s+\S{1,128}\s+password\s+([^\s"'<>\\,;{}]{4,128})"#),
    // Commands that take a password after a short option, or on their input.
    ("password-option", Guard::Mixed, r#"(?i)\b(?:docker|podman|buildah|skopeo|helm|az|oc|cf|oras|ibmcloud)\s(?:[a-z-]{1,20}\s){0,2}?login\b[^\n|;]{0,200}?\s-p[= ]?["']?([^\s"'<>\\]{6,128})"#),
    ("password-option", Guard::Real, r#"(?i)\bsshpass\s+-p\s*["']?([^\s"'<>\\]{4,128})"#),
    ("password-option", Guard::Mixed, r#"(?i)\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\n|;]{0,200}?\s-p["']?([^\s"'-][^\s"'<>\\]{4,128})"#),
    ("password-option", Guard::Mixed, r#"(?i)\b(?:curl|wget|https?|httpie)\b[^\n|;]{0,200}?\s(?:-u|--user|-a|--auth)[= ]["']?[^\s:"'/]{1,64}:([^\s"'/<>\\]{5,128})"#),
    ("password-option", Guard::Mixed, r#"(?i)\becho\s+["']?([^\s"'|<>\\]{5,128})["']?\s*\|\s*sudo\s+-S"#),
    ("query-secret", Guard::Random, r"(?i)[?&](?:api_?key|access_token|token|key|auth|secret|signature|client_secret|x-amz-signature|x-amz-security-token)=([A-Za-z0-9%._~+/=-]{12,})"),
];

/// What a text must hold, lower-cased, for a rule without a beginning of its own to be tried; none: it is always tried.
fn needles(name: &str) -> &'static [&'static str] {
    match name {
        "aws-access-key" => &["akia", "asia", "abia", "acca"],
        "aws-secret-key" => &["aws", "secret"],
        "azure-key" => &["accountkey", "sharedaccesskey"],
        "azure-sas" => &["sig="],
        "conda-token" => &["/t/"],
        "azure-secret" => &["8q~"],
        "terraform-token" => &[".atlasv1."],
        "telegram-token" => &[":aa"],
        "url-password" | "url-token" => &["://"],
        "authorization" => &["authorization", "bearer"],
        "password" => &["pass", "pwd", "auth"],
        "password-option" => &["pass", "pwd", "login", "mysql", "mariadb", "curl", "wget", "http", "sudo"],
        "netrc-password" => &["machine"],
        "call-secret" => &["login", "log_in", "sign_in", "auth", "_key", "_token", "fernet"],
        "secret" | "secret-option" => &["secret", "key", "token", "credential", "auth", "_pat", "appid", "app_id"],
        "query-secret" => &["?", "&"],
        "npm-token" => &["npm_", "_auth", "_password"],
        _ => &[],
    }
}

/// A Unicode word boundary makes the fast engine give up at the first byte that is not ASCII.
fn ascii_boundaries(pattern: &str) -> String {
    pattern.replace(r"\b", r"(?-u:\b)")
}

/// All rules, compiled once.
pub(super) static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let named = NAMED.iter().map(|&(name, pattern)| (name, Guard::None, pattern));
    named
        .chain(GUARDED.iter().copied())
        .filter_map(|(name, guard, pattern)| {
            Some(Rule { name, pattern: Regex::new(&ascii_boundaries(pattern)).ok()?, guard, needles: needles(name) })
        })
        .collect()
});

impl Guard {
    /// Whether a value may be a secret.
    pub(super) fn passes(self, value: &str) -> bool {
        match self {
            Self::None => true,
            Self::Real => is_real(value),
            Self::Random => is_real(value) && is_random(value),
            Self::Mixed => {
                is_real(value)
                    && value.chars().any(|c| c.is_alphabetic())
                    && value.chars().any(|c| !c.is_alphabetic() && !matches!(c, '.' | '_' | '-' | '/'))
                    && !value.contains("://")
                    && !value.contains(['[', '<', '|'])
                    && !(value.starts_with('/') && value.matches('/').count() >= 2)
            }
        }
    }
}

/// No placeholder, template, variable, or word that only speaks of secrets.
fn is_real(value: &str) -> bool {
    let lower = value.to_lowercase();
    let words = [
        "your",
        "changeme",
        "change_me",
        "change-me",
        "placeholder",
        "dummy",
        "redacted",
        "insert",
        "enter ",
        "<",
        "{",
        "${",
        "$(",
        "%(",
        "%s",
        "os.environ",
        "getenv",
        "getpass",
        "input(",
        "xxxx",
        "****",
        "....",
        "todo",
        "secret_here",
        "key_here",
        "token_here",
        "process.env",
        "…",
        "•••",
        "n/a",
        "not set",
        "required",
        "incorrect",
        "invalid",
        "missing",
        "must ",
        "should ",
        "cannot ",
        "please",
        "--",
        "my_secret",
        "mysecret",
        "my-secret",
        "foobar",
    ];
    let exact = [
        "password",
        "passwd",
        "secret",
        "token",
        "none",
        "null",
        "true",
        "false",
        "string",
        "default",
        "test",
        "tests",
        "example",
        "user",
        "admin",
        "root",
        "guest",
        "anonymous",
        "postgres",
        "username",
        "email",
        "hidden",
        "username:",
        "password:",
        "pass",
        "enter",
        "prompt",
        "text",
        "object",
        "value",
        "apikey",
        "api_key",
        "str",
        "optional",
    ];
    let one_letter = value.chars().next().is_some_and(|first| value.chars().all(|c| c == first));
    !one_letter
        && !exact.contains(&lower.trim_matches(|c: char| !c.is_alphanumeric()))
        && !words.iter().any(|word| lower.contains(word))
        && !value.trim_start_matches('\\').starts_with(['$', '%', '@', '[', '('])
        && !is_identifier_path(value)
        && !is_sentence(value)
}

/// `args.password`, `settings.DB_PASS`, `self._token`: code, not a value.
fn is_identifier_path(value: &str) -> bool {
    value.contains('.')
        && value.split('.').all(|part| {
            part.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !part.chars().any(|c| c.is_ascii_digit())
        })
}

/// Several words of letters: a message about a password.
fn is_sentence(value: &str) -> bool {
    let words: Vec<&str> = value.split_whitespace().collect();
    words.len() >= 3
        && words.iter().filter(|word| word.chars().all(char::is_alphabetic)).count() >= words.len() - 1
        && words.iter().any(|word| {
            ["the", "a", "is", "to", "for", "of", "your", "and", "not", "or"].contains(&word.to_lowercase().as_str())
        })
}

/// Letters and digits, 3 bits a character: random enough for a token, and no path, date, version, uuid or name.
fn is_random(value: &str) -> bool {
    let letters = value.chars().filter(|c| c.is_ascii_alphabetic()).count();
    let digits = value.chars().filter(|c| c.is_ascii_digit()).count();
    let others = value.chars().filter(|c| !c.is_ascii_alphanumeric() && !"+/=_-.~:%!@#$^&*?".contains(*c)).count();
    let slashes = value.matches('/').count();
    letters >= 4
        && (digits >= 2 || is_mixed_case(value))
        && others == 0
        && (12..=512).contains(&value.len())
        && value.is_ascii()
        && !value.contains("://")
        && !value.starts_with(['/', '.', '~'])
        && !value.starts_with("sha256:")
        && !value.starts_with("data:")
        && !(slashes >= 2 && has_words(value))
        && !is_uuid(value)
        && entropy(value) >= 2.9
        && !is_wordy(value)
        && !is_plain_json(value)
}

/// Base64 of a JSON document in which nothing looks random (`{"session_id": "default"}` in Bokeh's own script): what it says is
/// searched as well.
fn is_plain_json(value: &str) -> bool {
    fn is_plain(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => !is_random(text),
            serde_json::Value::Array(list) => list.iter().all(is_plain),
            serde_json::Value::Object(map) => map.values().all(is_plain),
            _ => true,
        }
    }
    let says = decode::base64_pieces(value)
        .into_iter()
        .next()
        .filter(|(piece, _)| piece.trim_end_matches('=') == value.trim_end_matches('='));
    let document = says.and_then(|(_, says)| serde_json::from_str::<serde_json::Value>(&says).ok());
    document.is_some_and(|document| (document.is_object() || document.is_array()) && is_plain(&document))
}

/// Long, of both cases throughout, and of no word: a token that happens to have no digits.
fn is_mixed_case(value: &str) -> bool {
    let changes = value
        .as_bytes()
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
        .count();
    value.len() >= 24 && changes * 8 >= value.len() && entropy(value) >= 3.8
}

/// Words joined by signs with few digits: `bert-base-uncased-v2`, `token_classification_1`.
fn is_wordy(value: &str) -> bool {
    let parts: Vec<&str> = value.split(['-', '_', '.', '/', ':']).filter(|part| !part.is_empty()).collect();
    let plain = parts
        .iter()
        .filter(|part| is_word(part) || part.chars().all(|c| c.is_ascii_digit()) || part.len() <= 3)
        .count();
    parts.len() >= 2 && plain == parts.len()
}

/// A word: letters of one case (or capitalised), perhaps a short number after it.
fn is_word(part: &str) -> bool {
    let stem = part.trim_end_matches(|c: char| c.is_ascii_digit());
    let tail = stem.get(1..).unwrap_or_default();
    part.len() - stem.len() <= 4
        && !stem.is_empty()
        && stem.chars().all(|c| c.is_ascii_alphabetic())
        && (tail.chars().all(|c| c.is_ascii_lowercase()) || stem.chars().all(|c| c.is_ascii_uppercase()))
        && (stem.len() <= 4 || stem.chars().any(|c| "aeiouyAEIOUY".contains(c)))
}

fn has_words(value: &str) -> bool {
    value.split('/').filter(|part| is_word(part)).count() >= 2
}

/// 8-4-4-4-12 hex digits (RFC 9562).
fn is_uuid(value: &str) -> bool {
    let parts: Vec<usize> =
        value.split('-').map(|part| if part.chars().all(|c| c.is_ascii_hexdigit()) { part.len() } else { 0 }).collect();
    parts == [8, 4, 4, 4, 12]
}

/// Shannon entropy, bits per character.
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = value.len() as f64;
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| f64::from(count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

/// Column names whose values are secrets.
pub(super) fn is_secret_column(name: &str) -> bool {
    let name = name.trim().trim_matches('"').to_lowercase();
    [
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "api_key",
        "apikey",
        "api-key",
        "token",
        "access_token",
        "secret_key",
        "auth_token",
        "private_key",
        "client_secret",
        "access_key",
        "refresh_token",
    ]
    .contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(RULES.len(), NAMED.len() + GUARDED.len());
    }

    #[test]
    fn words_about_secrets_are_no_secrets() {
        for value in [
            "your-api-key",
            "<password>",
            "{password}",
            "${DB_PASS}",
            r"\$_SAVED_PWD",
            "xxxxxxxx",
            "args.password",
            "password",
            "None",
            "Enter the password for admin",
            "os.environ['X']",
            "********",
        ] {
            assert!(!Guard::Real.passes(value), "{value}");
        }
        for value in ["hunter2!", "correct horse battery staple", "S3cr3t-Pa55", "Tr0ub4dor&3"] {
            assert!(Guard::Real.passes(value), "{value}");
        }
    }

    #[test]
    fn names_paths_and_ids_are_not_random() {
        for value in [
            "bert-base-uncased-v2",
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            "/data/2024/file01.csv",
            "2024-01-01T00:00:00Z",
            "distilbert-base-uncased-finetuned-sst-2-english",
            "aaaaaaaa11111111",
        ] {
            assert!(!is_random(value), "{value}");
        }
        for value in ["9fJk2LmQ8sXw4TzB", "a8f5f167f44f4964e6c998dee827110c", "Zx81-kPq9LmN2-vB7"] {
            assert!(is_random(value), "{value}");
        }
    }
}
