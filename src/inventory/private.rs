//! Files that never leave the machine, by where they lie and what they are called.

use super::paths;

/// SSH, GPG, TLS keys.
pub(crate) fn is_key(path: &[u8], home: &[u8]) -> bool {
    let name = paths::name(path);
    in_home(path, home, &[b".ssh", b".gnupg", b".pki", b".password-store", b".age", b".minisign", b".putty"])
        || paths::has_component(path, b".ssh")
        || paths::has_component(path, b".gnupg")
        || [&b"id_rsa"[..], b"id_dsa", b"id_ecdsa", b"id_ed25519", b"id_ecdsa_sk", b"id_ed25519_sk"].contains(&name)
        || [&b".key"[..], b".ppk", b".p12", b".pfx", b".jks", b".keystore", b".kdbx", b".asc.key"]
            .iter()
            .any(|end| name.ends_with(end))
        || (name.ends_with(b".pem") && memchr::memmem::find(name, b"key").is_some())
}

/// Credentials of services.
pub(crate) fn is_credential(path: &[u8], home: &[u8]) -> bool {
    let name = paths::name(path);
    let below_home: &[&[u8]] = &[
        b".aws",
        b".azure",
        b".config/gcloud",
        b".gcloud",
        b".boto",
        b".s3cfg",
        b".kube",
        b".docker/config.json",
        b".config/containers/auth.json",
        b".kaggle",
        b".config/kaggle",
        b".huggingface/token",
        b".cache/huggingface/token",
        b".cache/huggingface/stored_tokens",
        b".config/gh",
        b".config/hub",
        b".config/glab",
        b".git-credentials",
        b".config/git/credentials",
        b".netrc",
        b"_netrc",
        b".pypirc",
        b".config/pypoetry/auth.toml",
        b".npmrc",
        b".yarnrc",
        b".cargo/credentials",
        b".cargo/credentials.toml",
        b".gem/credentials",
        b".terraform.d",
        b".terraformrc",
        b".vault-token",
        b".pgpass",
        b".my.cnf",
        b".mylogin.cnf",
        b".oci",
        b".databrickscfg",
        b".snowsql",
        b".snowflake",
        b".config/snowflake",
        b".wandb",
        b".config/wandb",
        b".config/rclone",
        b".rclone.conf",
        b".config/openai",
        b".openai",
        b".anthropic",
        b".claude",
        b".config/anthropic",
        b".config/op",
        b".bitwarden",
        b".modal.toml",
        b".streamlit/secrets.toml",
        b".Renviron",
        b".msmtprc",
        b".smbcredentials",
        b".fly",
        b".config/doctl",
        b".config/heroku",
        b".config/pip/auth.toml",
        b".condarc.token",
        b".continuum/tokens",
    ];
    in_home(path, home, below_home)
        || [
            &b".netrc"[..],
            b"_netrc",
            b".pypirc",
            b".pgpass",
            b".git-credentials",
            b"kaggle.json",
            b".env",
            b".envrc",
            b"secrets.toml",
            b"client_secret.json",
            b"credentials.json",
            b".vault-token",
            b".htpasswd",
            b"kubeconfig",
        ]
        .contains(&name)
        || (name.starts_with(b".env.") && ![&b".env.example"[..], b".env.sample", b".env.template"].contains(&name))
        || (name.starts_with(b"service-account") && name.ends_with(b".json"))
        || (name.starts_with(b"client_secret_") && name.ends_with(b".json"))
}

/// Histories.
pub(crate) fn is_history(path: &[u8], _home: &[u8]) -> bool {
    let name = paths::name(path);
    name.starts_with(b"history.sqlite")
        || (name.starts_with(b".") && (name.ends_with(b"_history") || name.ends_with(b"hist")))
        || [&b".lesshst"[..], b".viminfo", b".Rhistory", b"fish_history", b".wget-hsts", b".recently-used.xbel"]
            .contains(&name)
}

/// Browsers, mail, desktop.
pub(crate) fn is_profile(path: &[u8], home: &[u8]) -> bool {
    in_home(
        path,
        home,
        &[
            b".mozilla",
            b".config/google-chrome",
            b".config/chromium",
            b".config/BraveSoftware",
            b".config/microsoft-edge",
            b".config/vivaldi",
            b".config/opera",
            b".cache/mozilla",
            b".cache/google-chrome",
            b".cache/chromium",
            b".thunderbird",
            b".local/share/keyrings",
            b".local/share/kwalletd",
            b".config/Signal",
            b".config/Slack",
            b".config/discord",
            b".local/share/evolution",
            b".config/evolution",
            b".mutt",
            b"Mail",
            b"Maildir",
            b".local/share/Trash",
            b"snap/firefox",
            b"snap/chromium",
        ],
    )
}

/// The machine's own.
pub(crate) fn is_system(path: &[u8]) -> bool {
    let named: &[&[u8]] = &[
        b"/etc/shadow",
        b"/etc/shadow-",
        b"/etc/gshadow",
        b"/etc/gshadow-",
        b"/etc/sudoers",
        b"/etc/krb5.keytab",
        b"/etc/security/opasswd",
    ];
    named.contains(&path)
        || [
            &b"/etc/ssl/private"[..],
            b"/etc/sudoers.d",
            b"/etc/ssh",
            b"/etc/wireguard",
            b"/etc/openvpn",
            b"/etc/NetworkManager/system-connections",
            b"/run/secrets",
            b"/var/run/secrets",
            b"/etc/letsencrypt",
            b"/etc/kubernetes",
            b"/var/lib/kubelet",
        ]
        .iter()
        .any(|dir| paths::below(path, dir))
}

fn in_home(path: &[u8], home: &[u8], places: &[&[u8]]) -> bool {
    let Some(rest) = paths::relative(path, home) else { return false };
    places.iter().any(|place| rest.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_look_alike_are_not_private() {
        let home = b"/home/u";
        assert!(is_credential(b"/srv/p/.env.local", home));
        assert!(!is_credential(b"/srv/p/.env.example", home));
        assert!(!is_credential(b"/home/u/.awsome/data", home));
        assert!(!is_key(b"/srv/cacert.pem", home));
        assert!(is_key(b"/srv/server-key.pem", home));
        assert!(!is_history(b"/srv/price_history", home));
        assert!(is_history(b"/home/u/.bash_history", home));
        assert!(is_history(b"/home/u/.ipython/profile_default/history.sqlite-journal", home));
    }
}
