//! Writes what is made from the command's own definition and the table of configuration keys: manual pages,
//! completions and the schema of the configuration. Not in the program: `packaging/build` runs it.

use std::error::Error;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use locum::cli::Cli;

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
    Ok(())
}
