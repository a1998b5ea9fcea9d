//! Writes what is made from the command's own definition and the table of configuration keys: manual pages,
//! completions and the schema of the configuration; and what the authors of others' code ask for. Not in the program:
//! `packaging/build` runs it.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use clap_complete::Shell;
use locum::cli::Cli;

mod licences;
mod man;
mod schema;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: documents FOLDER")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    fs::write(folder.join("locum.8"), man::locum())?;
    fs::write(folder.join("locum.toml.5"), man::locum_toml())?;
    fs::write(folder.join("locum.schema.json"), schema::text())?;
    let shells = [(Shell::Bash, "locum.bash"), (Shell::Fish, "locum.fish"), (Shell::Zsh, "_locum")];
    for (shell, name) in shells {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "locum", &mut text);
        fs::write(folder.join(name), text)?;
    }
    fs::write(folder.join("third-party"), third_party()?)?;
    Ok(())
}

/// Of the libraries that this build has used, for the machine it runs on.
fn third_party() -> Result<String, Box<dyn Error>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let told = output(Command::new("rustc").arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let kept = ["--locked", "--offline"];
    let tree = ["tree", "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}", "--target", host];
    let tree = output(Command::new(&cargo).args(tree).args(kept))?;
    let metadata = output(Command::new(&cargo).args(["metadata", "--format-version=1"]).args(kept))?;
    let libraries = licences::text(&tree, &serde_json::from_str(&metadata)?)?;
    let page = format!(
        "{}/share/doc/rust/COPYRIGHT-library.html",
        output(Command::new("rustc").args(["--print", "sysroot"]))?.trim()
    );
    let page = fs::read_to_string(&page).map_err(|error| {
        format!("{page}: {error}: the packages need what this compiler says of its library's licences; rustup's do from 1.86 on")
    })?;
    Ok(libraries + &licences::of_standard_library(&page))
}

fn output(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
