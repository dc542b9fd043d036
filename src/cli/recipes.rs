//! `nbpack export --dockerfile` and `--compose`: files that build on the bundle's image, or serve it.

use std::path::{Path, PathBuf};

use super::{Context, app, failure::Failure};
use crate::{bundle, files, inventory::RunConfig};

/// Which files to write beside the bundle.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct RecipeArgs {
    /// Write a Dockerfile that builds on the bundle's image [default name: Dockerfile]
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "Dockerfile")]
    dockerfile: Option<PathBuf>,
    /// Write a compose file that serves the bundle's image [default name: compose.yaml]
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "compose.yaml")]
    compose: Option<PathBuf>,
}

impl RecipeArgs {
    /// Refuses to write over what is there and is not the same; before anything else is done.
    pub(super) fn check(&self, force: bool, context: &Context) -> anyhow::Result<()> {
        for path in self.dockerfile.iter().chain(&self.compose) {
            let path = context.cwd.join(path);
            let ours = files::read_to_string(&path).is_ok_and(|text| text.starts_with(MARK));
            if path.exists() && !ours && !force {
                return Err(Failure::unable(format!("`{}` is there already", path.display()))
                    .hint("name another file, or use --force")
                    .into());
            }
        }
        Ok(())
    }

    /// Writes what was asked for; the paths. `bundle` is how a person names the bundle's file.
    pub(super) fn write(&self, run: &RunConfig, bundle: &str, context: &Context) -> anyhow::Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        let wanted = [(&self.dockerfile, dockerfile(run, bundle)), (&self.compose, compose(run, bundle))];
        for (path, text) in wanted {
            if let Some(path) = path {
                let path = context.cwd.join(path);
                files::publish_bytes(&path, 0o644, text.as_bytes())?;
                written.push(path);
            }
        }
        Ok(written)
    }
}

/// The first line of each; a file that begins with it may be written again.
const MARK: &str = "# Written by nbpack export.";

fn command(run: &RunConfig) -> String {
    serde_json::to_string(&run.command).unwrap_or_default()
}

/// The port that the default command listens on: an app's own, else Jupyter's.
fn port(run: &RunConfig) -> u16 {
    let is_app = run.command.first().is_some_and(|word| word == "app");
    app::port_in(&run.command).unwrap_or(if is_app { app::PORT } else { 8888 })
}

fn file_name(bundle: &str) -> &str {
    Path::new(bundle).file_name().and_then(|name| name.to_str()).unwrap_or(bundle)
}

fn dockerfile(run: &RunConfig, bundle: &str) -> String {
    let (image, file, command, port) = (bundle::image_name(&run.name), file_name(bundle), command(run), port(run));
    format!(
        "{MARK}
# First: docker load -i {file}
# Then:  docker build -t {image}-service . && docker run -p {port}:{port} {image}-service
FROM {image}
# What you add lies above the recorded layers; they stay as they are.
# COPY data /app/data
EXPOSE {port}
ENTRYPOINT [\"/opt/nbpack/bin/nbpack\"]
CMD {command}
"
    )
}

fn compose(run: &RunConfig, bundle: &str) -> String {
    let (image, file, command, port) = (bundle::image_name(&run.name), file_name(bundle), command(run), port(run));
    let service = run.name.replace('.', "-");
    format!(
        "{MARK}
# First: docker load -i {file}
# Then:  docker compose up
services:
  {service}:
    image: \"{image}\"
    command: {command}
    ports:
      - \"127.0.0.1:{port}:{port}\"
    volumes:
      - data:/app/data
    cap_drop: [ALL]
    security_opt: [\"no-new-privileges:true\"]
volumes:
  data: {{}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::model::Restored;

    fn run(command: &[&str]) -> RunConfig {
        let restored: Restored = serde_json::from_str(include_str!("../../tests/fixtures/restored.json")).unwrap();
        RunConfig { command: command.iter().map(ToString::to_string).collect(), ..restored.run }
    }

    #[test]
    fn the_files_name_the_image_its_command_and_its_port() {
        let lab = dockerfile(&run(&["lab"]), "/x/analysis.nbpack");
        assert!(lab.contains("docker load -i analysis.nbpack\n"), "{lab}");
        assert!(lab.contains("\nEXPOSE 8888\n") && lab.contains("\nCMD [\"lab\"]\n"), "{lab}");
        let app = compose(&run(&["app", "--", "streamlit", "run", "a.py", "--server.port", "8501"]), "a.nbpack");
        assert!(app.contains("\"127.0.0.1:8501:8501\""), "{app}");
        assert!(app.contains("command: [\"app\",\"--\",\"streamlit\""), "{app}");
        assert_eq!(port(&run(&["app", "--", "python", "app.py"])), 8050);
        assert_eq!(port(&run(&["app", "--port=9000", "--", "x"])), 9000);
    }
}
