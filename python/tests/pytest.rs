//! Runs the package's tests against the extension module as cargo has just built it: the package's Python files and the module
//! beside them, as in a wheel. `python/test` does the same with a wheel that maturin builds.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// The environment's interpreter, or why there is none. Installs what is missing.
fn interpreter() -> Result<PathBuf, String> {
    let out = Command::new(Path::new(FOLDER).join("tests/install"))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("python/tests/install does not run: {e}"))?;
    let text = |b: &[u8]| String::from_utf8_lossy(b).trim().to_owned();
    if out.status.success() { Ok(text(&out.stdout).into()) } else { Err(text(&out.stderr)) }
}

#[test]
fn the_package() {
    let python = match interpreter() {
        Ok(python) => python,
        Err(why) => {
            // Straight to the terminal: what a passing test prints is otherwise hidden.
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: the tests of the Python package.\n{why}\n");
            assert!(std::env::var_os("ASSAY_REQUIRE_PYTHON").is_none(), "{why}");
            return;
        }
    };
    // target/debug/deps, where cargo put the module when it built this test's package.
    let built = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let prefix = if cfg!(windows) { "" } else { "lib" };
    let module = built.join(format!("{prefix}assay_python{}", std::env::consts::DLL_SUFFIX));
    assert!(module.is_file(), "cargo did not build {}", module.display());

    let site = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{}", std::process::id()));
    let package = site.join("assay");
    std::fs::create_dir_all(&package).unwrap();
    for entry in std::fs::read_dir(Path::new(FOLDER).join("assay")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, package.join(path.file_name().unwrap())).unwrap();
        }
    }
    std::fs::copy(&module, package.join(if cfg!(windows) { "_native.pyd" } else { "_native.abi3.so" })).unwrap();

    let mut tests = Command::new(python);
    tests
        .args(["-m", "pytest", "-c", "../pyproject.toml", "-q", "-p", "no:cacheprovider", "--durations=8", "."])
        // Not where the package's files are: Python would take them without the module.
        .current_dir(Path::new(FOLDER).join("tests"))
        .env("PYTHONPATH", &site)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ASSAY_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
        .stdin(Stdio::null());
    // The command itself, where the whole workspace was built: verdicts are compared with it.
    let command = built.join("..").join("assay");
    if command.is_file() {
        tests.env("ASSAY_COMMAND", command);
    }
    let status = tests.status().unwrap();
    std::fs::remove_dir_all(&site).unwrap();
    assert!(status.success(), "pytest: {status}");
}
