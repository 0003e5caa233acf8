//! Where checkpoints are, by a name that goes with the folder: workers that share it say the same, however they see it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// The folder's name for itself, made with the folder.
pub(crate) fn place(files: &Path) -> io::Result<String> {
    let path = files.join("place");
    if let Some(known) = read(&path)? {
        return Ok(known);
    }
    let mut bytes = [0u8; 8];
    io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    let name = format!("{:016x}", u64::from_le_bytes(bytes));
    let beside = files.join(format!("place-{name}"));
    let mut file = File::create(&beside)?;
    writeln!(file, "{name}")?;
    file.sync_all()?;
    // Of several workers that begin at once, one names it.
    let named = fs::hard_link(&beside, &path);
    fs::remove_file(&beside)?;
    match named {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    read(&path)?.ok_or_else(|| io::Error::other(format!("{} is empty", path.display())))
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_name_and_another_has_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = place(one.path()).unwrap();
        assert_eq!(place(one.path()).unwrap(), name);
        assert_ne!(place(other.path()).unwrap(), name);
        assert_eq!(fs::read_dir(one.path()).unwrap().count(), 1);
    }
}
