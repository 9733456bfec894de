//! What `--check` finds of the travel rule before anything would start with it.

use super::starting::{block_on, start, with_adapter};
use super::*;
use crate::cli::config::load;

/// The lines of what failed: code and field.
fn bad(answer: &Answer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parts = answer.json["checks"].as_array().unwrap().iter().filter(|part| part["ok"] == false);
    parts.map(|part| (text(&part["error"]["code"]), text(&part["error"]["field"]))).collect()
}

/// Both tables: how the configuration calls it, and where it stands.
fn both(desk: &Desk) -> [(&'static str, PathBuf); 2] {
    let own = deployment(desk);
    let adapter = with_adapter(desk, &own);
    [("enclave", own), ("verifyvasp", adapter)]
}

/// Checks the configuration with `database = "e.db"` of the travel rule replaced. What is written stands before the other tables.
fn with(desk: &Desk, path: &Path, from: &str, to: &str) -> Answer {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    let changed = desk.path("changed.toml");
    std::fs::write(&changed, text.replacen(from, to, 1)).unwrap();
    checked(&changed)
}

/// An adapter over that trust file has nobody to ask: that is another finding.
fn only(answer: &Answer) -> Vec<(String, String)> {
    bad(answer).into_iter().filter(|(_, field)| field != "trust.file: vasps").collect()
}

#[test]
fn check_reads_the_lists_and_every_older_key() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("lists")).unwrap();
    desk.write("lists/names.txt", "KIM MINSU\n");
    for (table, path) in both(&desk) {
        let base = "database = \"e.db\"\n";
        let lists =
            |name: &str| format!("{base}screening = {{ folder = \"lists\", names = [\"{name}\"] }}\n");
        assert!(only(&with(&desk, &path, base, &lists("names.txt"))).is_empty(), "{table}");
        let mistyped = with(&desk, &path, base, &lists("nams.txt"));
        assert_eq!(only(&mistyped)[0].1, format!("{table}.screening"), "{}", mistyped.text);
        std::os::unix::fs::symlink(desk.path("lists/names.txt"), desk.path("lists/more.txt")).unwrap();
        let linked = with(&desk, &path, base, &lists("names.txt"));
        let found =
            (only(&linked)[0].clone(), linked.text.contains("`") && linked.text.contains("is a link"));
        assert_eq!(
            found,
            (("CONFIG_INVALID".to_owned(), format!("{table}.screening")), true),
            "{}",
            linked.text
        );
        std::fs::remove_file(desk.path("lists/more.txt")).unwrap();
        let old = |name: &str| format!("{base}old_data_keys = [{{ file = \"{name}\" }}]\n");
        let good = with(&desk, &path, base, &old("v.key"));
        assert!(only(&good).is_empty() && good.text.contains("readable, with 1 older"), "{}", good.text);
        let missing = with(&desk, &path, base, &old("none.key"));
        assert_eq!(only(&missing)[0].1, format!("{table}.old_data_keys"), "{}", missing.text);
    }
}

#[test]
fn check_finds_another_databases_key_another_version_and_a_newer_directory() {
    let desk = Desk::new();
    let both = both(&desk);
    for (table, path) in &both {
        let settings = config::signer(path).unwrap();
        let trust = load::trust(&settings.party.trust).unwrap();
        block_on(async { start(&settings, trust.version(), &trust).await.unwrap() });
        assert!(only(&checked(path)).is_empty(), "{}", checked(path).text);
        let before = std::fs::read(desk.path("e.db")).unwrap();
        let other = with(&desk, path, "data_key = { file = \"e.key\" }", "data_key = { file = \"v.key\" }");
        let database = format!("{table}.database");
        assert_eq!(only(&other), [("STORE_OTHER_KEY".to_owned(), database)], "{}", other.text);
        assert_eq!(std::fs::read(desk.path("e.db")).unwrap(), before, "a check changes nothing");
    }
    let (_, path) = &both[0];
    let settings = config::signer(path).unwrap();
    let trust = load::trust(&settings.party.trust).unwrap();
    block_on(async { start(&settings, trust.version() + 1, &trust).await.unwrap() });
    for (_, path) in &both {
        let older = checked(path);
        assert_eq!(only(&older), [("CONFIG_INVALID".to_owned(), "trust.file".to_owned())], "{}", older.text);
    }
    block_on(async {
        let place = sqlx::sqlite::SqliteConnectOptions::new().filename(desk.path("e.db"));
        let pool = sqlx::SqlitePool::connect_with(place).await.unwrap();
        sqlx::query("PRAGMA user_version = 3").execute(&pool).await.unwrap();
        pool.close().await;
    });
    for (_, path) in &both {
        let earlier = checked(path);
        assert_eq!(only(&earlier)[0].0, "STORE_OTHER_VERSION", "{}", earlier.text);
    }
}

#[test]
fn check_says_what_it_could_not_look_at_and_what_the_enclave_would_warn_of() {
    let desk = Desk::new();
    for (table, path) in both(&desk) {
        let base = "database = \"e.db\"\n";
        let user = |name: &str| format!("{base}user = \"{name}\"\n");
        let nobody = with(&desk, &path, base, &user("no-such-user-here"));
        assert_eq!(only(&nobody)[0].1, format!("{table}.user"), "{}", nobody.text);
        let other = if rustix::process::geteuid().is_root() { "nobody" } else { "root" };
        let other = with(&desk, &path, base, &user(other));
        assert!(only(&other).is_empty(), "{}", other.text);
        assert!(other.text.contains("not looked at: whether the signer may become"), "{}", other.text);
        assert!(checked(&path).text.contains(&format!("there is no [{table}.screening]")), "{table}");
    }
    let path = desk.path("signer.toml");
    desk.write("e.b64", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let plain = "encryption_key = { file = \"e.b64\" }";
    let plain = with(&desk, &path, "data_key = { file = \"e.key\" }", plain);
    assert!(plain.text.contains("the data key stands unwrapped"), "{}", plain.text);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(desk.path("e.db"), Some(65534), None).unwrap();
        let foreign = checked(&path);
        assert!(foreign.text.contains("run this as its owner, the user 65534"), "{}", foreign.text);
        assert!(foreign.text.ends_with("it can start, if what was not looked at (?) is well\n"));
        assert_eq!(foreign.exit, Exit::Ok);
    }
}
