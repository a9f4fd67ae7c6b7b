//! The working copy: its root, its files, and cargo's account of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The root of the workspace: the folder above this crate.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The cargo that started us, so that the pinned toolchain stays the pinned toolchain.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Output of a command that must succeed, as text.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .with_context(|| format!("cannot start {shown}"))?;
    ensure!(
        output.status.success(),
        "{shown} failed with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `cargo metadata` of this workspace, for the machine we run on.
pub(crate) fn metadata() -> Result<Value> {
    let version = output(cargo().args(["--version", "--verbose"]))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`cargo --version --verbose` names no host")?;
    let text = output(
        cargo()
            .args(["metadata", "--locked", "--format-version=1", "--all-features"])
            .args(["--filter-platform", host]),
    )?;
    serde_json::from_str(&text).context("`cargo metadata` printed something that is not JSON")
}

/// Paths of the files git tracks or is about to be told of, relative to the root, with `/` between them.
///
/// Without git, or outside a working copy (an unpacked archive), these are all files except those under
/// build folders and hidden ones that git itself owns.
pub(crate) fn files() -> Result<Vec<String>> {
    let root = root();
    // The owner of a checkout in CI is often somebody else, which git would refuse.
    let listed = Command::new("git")
        .args([
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&root)
        .output();
    let mut files: Vec<String> = match listed {
        Ok(listed) if listed.status.success() && !listed.stdout.is_empty() => {
            String::from_utf8_lossy(&listed.stdout)
                .split('\0')
                .filter(|path| !path.is_empty())
                .map(str::to_owned)
                .collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(&root, &root, &mut found)?;
            found
        }
    };
    files.retain(|path| root.join(path).is_file());
    files.sort();
    Ok(files)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            if name != ".git" && !name.starts_with("target") {
                walk(root, &entry.path(), found)?;
            }
        } else if let Ok(path) = entry.path().strip_prefix(root) {
            found.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

/// Where a program is, looking also where Debian keeps daemons and where this repository keeps tools.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([
            PathBuf::from("/usr/sbin"),
            PathBuf::from("/sbin"),
            tools_dir().join("bin"),
            venv_dir().join("bin"),
        ])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Where this repository keeps what it installed from the Python index.
pub(crate) fn venv_dir() -> PathBuf {
    target_dir().join("venv")
}

/// Where this repository keeps programs it installed for itself.
pub(crate) fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}
