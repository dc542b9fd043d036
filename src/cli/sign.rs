//! `nbpack sign`, and what the other verbs say of signatures.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context as _;

use super::{
    Context,
    failure::Failure,
    remote::{self, Remote},
    terminal,
};
use crate::{
    bundle::{read::Bundle, signatures},
    digest::Digest,
    files,
    registry::Reference,
    signature::{PublicKey, Signature, Trust, cosign, message, sshsig},
};

/// Keys of a person, in the order in which `ssh` looks for them.
const SSH_KEYS: [&str; 5] = ["id_ed25519", "id_ecdsa", "id_ed25519_sk", "id_ecdsa_sk", "id_rsa"];

/// Sign a bundle with an SSH key or a key pair in cosign's layout
///
/// What is signed is the manifest's digest, and so every byte of the bundle. The signature travels in the file, and in a
/// registry as a referrer of the image; the bundle stays the same, under the same digest. Several people may sign one.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack sign analysis.nbpack                              with your own SSH key
  nbpack sign analysis.nbpack --key ~/.ssh/work.pub        its private half is in the agent
  nbpack sign --generate-key-pair cosign                   makes cosign.key and cosign.pub
  nbpack sign analysis.nbpack --key cosign.key
  nbpack sign registry.example/ann/analysis:v1             what was pushed; no layer moves
  nbpack verify analysis.nbpack --signed-by allowed_signers

The password of cosign.key is taken from $COSIGN_PASSWORD, or asked for on the terminal.

Exit code: 0 signed, 1 refused, 2 it could not be done.")]
pub(super) struct Args {
    /// The bundle: a file, an OCI image layout directory, or its name in a registry
    #[arg(required_unless_present = "generate_key_pair")]
    bundle: Option<String>,
    /// The private key (or, where an agent holds it, the public one) [default: the first of ~/.ssh/id_*]
    #[arg(short, long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// With a key pair in cosign's layout: the repository name that registries' policies compare
    #[arg(long, value_name = "REGISTRY/REPO", default_value = "")]
    identity: String,
    /// Plain HTTP may be used with a registry (it may with this machine without being asked)
    #[arg(long)]
    insecure: bool,
    /// Take all signatures away
    #[arg(long, conflicts_with_all = ["key", "identity"])]
    remove: bool,
    /// Make a new pair, PREFIX.key and PREFIX.pub, instead of signing
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["bundle", "key", "remove"])]
    generate_key_pair: Option<PathBuf>,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(prefix) = &args.generate_key_pair {
        return generate(prefix, context);
    }
    let Some(word) = &args.bundle else {
        return Err(Failure::unable("no bundle was named").into());
    };
    if let Some(reference) = remote::named(word, context)? {
        return sign_remote(reference, &args, context);
    }
    let path = context.cwd.join(word);
    let name = path.display();
    let bundle = Bundle::open_any(&path).with_context(|| {
        Failure::unable(format!("cannot sign `{name}`")).hint(format!("`nbpack verify {name}` says more"))
    })?;
    if args.remove {
        if !bundle.signatures().is_empty() {
            signatures::replace(&path, &[]).with_context(|| format!("cannot write `{name}`"))?;
        }
        return say(&format!("{name}: not signed any more"), context);
    }
    let manifest = bundle.manifest_digest();
    let (signature, signer) = sign_checked(&args, &manifest, &args.identity, context)?;
    let mut all = bundle.signatures().to_vec();
    // A key that signed before signs anew: one signature each.
    all.retain(|other| other.check(&manifest).ok().as_ref() != Some(&signer));
    all.push(signature);
    signatures::replace(&path, &all).with_context(|| format!("cannot write `{name}`"))?;
    say(&format!("{name}: signed by {signer}"), context)
}

/// Signs an image where it is: its documents are read, and one small artifact is put beside it.
fn sign_remote(reference: Reference, args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if args.remove {
        return Err(Failure::unable("signatures in a registry are taken away with the registry's own tools").into());
    }
    let store = context.store()?;
    // What registries' policies compare is the name by which the image is asked for.
    let identity = match &args.identity {
        given if !given.is_empty() => given.clone(),
        _ => format!("{}/{}", reference.host, reference.repository),
    };
    let remote = Remote::open(reference, args.insecure, &store, context)?;
    let (signature, signer) = sign_checked(args, &remote.bundle.manifest_digest(), &identity, context)?;
    remote.put_signature(&signature)?;
    say(&format!("{}: signed by {signer}", remote.reference), context)
}

/// Signs with the key that is meant, and looks whether the signature holds.
fn sign_checked(
    args: &Args,
    manifest: &Digest,
    identity: &str,
    context: &Context,
) -> anyhow::Result<(Signature, PublicKey)> {
    let key = match &args.key {
        Some(key) => context.cwd.join(key),
        None => own_key(context)?,
    };
    let signature = sign(&key, manifest, identity, !args.identity.is_empty(), context)?;
    let signer =
        signature.check(manifest).with_context(|| format!("the signature of `{}` is not good", key.display()))?;
    Ok((signature, signer))
}

fn say(text: &str, context: &Context) -> anyhow::Result<ExitCode> {
    if !context.quiet {
        writeln!(std::io::stdout().lock(), "{text}").context("cannot write to stdout")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn own_key(context: &Context) -> anyhow::Result<PathBuf> {
    let dir = context.home.join(".ssh");
    SSH_KEYS.iter().map(|name| dir.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        Failure::unable(format!("there is no key in `{}`", dir.display()))
            .hint("name one with --key FILE; `ssh-keygen -t ed25519` makes one")
            .into()
    })
}

/// `named`: the person gave the identity, so the key must be one that can sign it.
fn sign(key: &Path, manifest: &Digest, identity: &str, named: bool, context: &Context) -> anyhow::Result<Signature> {
    let shown = key.display();
    let bytes = files::read_bounded(key, 1 << 20)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if cosign::is_key(text) => {
            let password = if cosign::is_encrypted(text) {
                password(&format!("Password of {shown}: "), context)?
            } else {
                Vec::new()
            };
            let key = cosign::PrivateKey::parse(text, &password).with_context(|| format!("cannot use `{shown}`"))?;
            Ok(key.sign(manifest, identity)?)
        }
        _ if named => {
            Err(Failure::unable("--identity is for key pairs in cosign's layout; an SSH key signs the digest alone")
                .into())
        }
        _ => sign_with_ssh(key, manifest),
    }
}

/// As git does it: `ssh-keygen` asks for the passphrase, the agent, or a touch of the hardware key.
fn sign_with_ssh(key: &Path, manifest: &Digest) -> anyhow::Result<Signature> {
    let missing = || {
        Failure::unable("cannot run `ssh-keygen`, which signs with SSH keys")
            .hint("install OpenSSH's client, or make a key pair: nbpack sign --generate-key-pair cosign")
    };
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", sshsig::NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(missing)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ended already says why on stderr.
        stdin.write_all(message(manifest).as_bytes()).unwrap_or_default();
    }
    let output = child.wait_with_output().with_context(missing)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = files::display_bytes(said.trim().as_bytes()).to_string();
        return Err(anyhow::anyhow!("ssh-keygen says: {said}")
            .context(Failure::unable(format!("cannot sign with `{}`", key.display()))));
    }
    let armored = String::from_utf8(output.stdout).context("ssh-keygen wrote something else than a signature")?;
    Ok(Signature::Ssh { armored })
}

fn generate(prefix: &Path, context: &Context) -> anyhow::Result<ExitCode> {
    let with = |extension: &str| {
        let mut name = context.cwd.join(prefix).into_os_string();
        name.push(extension);
        PathBuf::from(name)
    };
    let (private, public) = (with(".key"), with(".pub"));
    if let Some(there) = [&private, &public].into_iter().find(|path| path.exists()) {
        return Err(Failure::unable(format!("`{}` exists", there.display())).hint("choose another prefix").into());
    }
    let password = password("Password for the private key (empty for none): ", context)?;
    let (key, text) = cosign::PrivateKey::generate(&password)?;
    files::publish_bytes(&private, 0o600, key.as_bytes())?;
    files::publish_bytes(&public, 0o644, text.as_bytes())?;
    say(
        &format!("{}: keep it to yourself\n{}: give it to those who verify", private.display(), public.display()),
        context,
    )
}

fn password(prompt: &str, context: &Context) -> anyhow::Result<Vec<u8>> {
    match context.var("COSIGN_PASSWORD") {
        Some(password) => Ok(password.as_bytes().to_vec()),
        None => terminal::ask_hidden(prompt)?.map(String::into_bytes).ok_or_else(|| {
            Failure::unable("there is no terminal to ask for the password").hint("set $COSIGN_PASSWORD").into()
        }),
    }
}

/// Reads the file of `--signed-by`.
pub(super) fn trust(path: &Path, context: &Context) -> anyhow::Result<Trust> {
    let text = files::read_to_string(&context.cwd.join(path))?;
    Trust::parse(&text).with_context(|| {
        Failure::unable(format!("cannot use `{}`", path.display()))
            .hint("it takes an allowed_signers file, an SSH public key, or cosign.pub")
    })
}

/// One line a signer, for a person.
pub(super) fn lines(signed_by: &[PublicKey], trust: Option<&Trust>) -> Vec<String> {
    let line = |key: &PublicKey| match trust.map(|trust| trust.knows(key)) {
        None => format!("signed by {key} (whose key that is, --signed-by FILE can tell)"),
        Some(None) => format!("signed by {key}, which is not among the keys to believe"),
        Some(Some("")) => format!("signed by {key}, as wanted"),
        Some(Some(name)) => format!("signed by {name} ({key})"),
    };
    if signed_by.is_empty() { vec!["signed by nobody".to_owned()] } else { signed_by.iter().map(line).collect() }
}

/// Fails unless a key that is believed signed.
pub(super) fn demand(name: &str, signed_by: &[PublicKey], trust: Option<&Trust>) -> anyhow::Result<()> {
    let Some(trust) = trust else { return Ok(()) };
    if signed_by.iter().any(|key| trust.knows(key).is_some()) {
        return Ok(());
    }
    let why = match signed_by {
        [] => "nobody signed it".to_owned(),
        [one] => format!("only {one} signed it"),
        several => format!("none of the {} keys that signed it is among the keys to believe", several.len()),
    };
    Err(Failure::no(format!("`{name}` is not signed as wanted: {why}"))
        .hint("ask the author for a signed copy, and for the public key by another way")
        .into())
}

/// The keys whose signatures on an open bundle hold; a signature that does not hold is an error.
pub(super) fn signers(bundle: &Bundle, name: &str) -> anyhow::Result<Vec<PublicKey>> {
    let manifest = bundle.manifest_digest();
    let check = |signature: &Signature| signature.check(&manifest);
    bundle.signatures().iter().map(check).collect::<Result<_, _>>().with_context(|| {
        Failure::no(format!("a signature of `{name}` does not hold")).hint(format!("`nbpack verify {name}` says more"))
    })
}
