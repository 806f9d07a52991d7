//! Data directories that earlier versions left: opened, and everything is as it was.
//!
//! Each folder of `tests/data` was made by the version in its name, by `makes_a_data_directory_of_this_version` below,
//! and is never changed again. A version that changes what is stored adds its own.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    database::Database,
    node::Node,
    peer::Peer,
    server::{Server, run},
};

const DOCS: [&str; 5] = ["compacted", "tail", "values", "in-the-trash", "deleted"];

fn folders() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// What the API says of every document, with its status.
async fn told(server: &Server) -> Value {
    let mut all = serde_json::Map::new();
    for doc in DOCS {
        for path in ["", "/content?as=json", "/content?as=text"] {
            let path = format!("/api/docs/{doc}{path}");
            let response = server.get(&path).await;
            let status = response.status().as_u16();
            let body = response.text().await.unwrap();
            let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
            all.insert(path, json!({"status": status, "body": body}));
        }
    }
    Value::Object(all)
}

/// A copy of a folder's data, which a server may change.
fn copy_of(folder: &Path) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("coscribe.db"), data.path().join("coscribe.db")).unwrap();
    data
}

/// What the API says otherwise than when the folder was made, by its paths.
async fn different(server: &Server, folder: &Path) -> Vec<String> {
    let expected = std::fs::read_to_string(folder.join("told.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let told = told(server).await;
    let (Value::Object(expected), Value::Object(told)) = (expected, told) else {
        panic!("what is told stands by its paths");
    };
    let mut different: Vec<_> = expected
        .keys()
        .chain(told.keys())
        .filter(|path| expected.get(*path) != told.get(*path))
        .cloned()
        .collect();
    different.sort_unstable();
    different.dedup();
    different
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_every_earlier_version_opens_as_it_was() {
    let mut versions = 0;
    for folder in std::fs::read_dir(folders()).unwrap() {
        let folder = folder.unwrap().path();
        let data = copy_of(&folder);
        let mut server = Server::in_dir(data.path(), &[], &[]).await;
        let different = different(&server, &folder).await;
        assert!(different.is_empty(), "{}: {different:?}", folder.display());
        let peer = Peer::join(&server, "compacted").await;
        peer.append("and on it goes");
        peer.echoed().await;
        let text = peer.text();
        drop(peer);
        assert_eq!(server.stop().await, 0);
        let (code, said) = run(&["check", "--data-dir", data.path().to_str().unwrap()]).await;
        assert_eq!(code, 0, "{}: {said}", folder.display());
        server.restart().await;
        Peer::join(&server, "compacted")
            .await
            .expect_text(&text)
            .await;
        versions += 1;
    }
    assert!(versions > 0, "there is no earlier version");
}

/// The control: an upgrade that loses a row, one that changes a title, and one that mistakes a name.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_loses_or_changes_something_is_noticed() {
    for folder in std::fs::read_dir(folders()).unwrap() {
        let folder = folder.unwrap().path();
        for (harm, paths) in [
            (
                "DELETE FROM updates WHERE key = (SELECT max(u.key) FROM updates u JOIN documents d \
                 ON u.key >> 32 = d.id WHERE d.name = 'tail')",
                &["/content?as=json", "/content?as=text"][..],
            ),
            (
                "UPDATE documents SET title = 'another' WHERE name = 'tail'",
                &[""],
            ),
            (
                "UPDATE documents SET name = 'elsewhere' WHERE name = 'tail'",
                &["", "/content?as=json", "/content?as=text"],
            ),
        ] {
            let data = copy_of(&folder);
            let mut database = Database::open(data.path()).await;
            database.execute(harm).await;
            database.close().await;
            let server = Server::in_dir(data.path(), &[], &[]).await;
            let paths: Vec<_> = paths
                .iter()
                .map(|path| format!("/api/docs/tail{path}"))
                .collect();
            assert_eq!(different(&server, &folder).await, paths, "{harm}");
        }
    }
}

/// `cargo test --test it -- --ignored makes_a_data_directory`, once for a version that changes what is stored.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes a folder of tests/data, which is committed"]
async fn makes_a_data_directory_of_this_version() {
    let folder = folders().join(env!("CARGO_PKG_VERSION"));
    assert!(
        !folder.exists(),
        "{} is there, and is never changed",
        folder.display()
    );
    let mut node = Node::start().expect("Node and the stock clients");
    let mut server = Server::with(&["--compact-after-rows", "10", "--idle-unload", "0s"]).await;
    for doc in DOCS {
        let peer = Peer::join(&server, doc).await;
        let edits = if doc == "compacted" { 40 } else { 4 };
        for number in 0..edits {
            peer.append(&format!("{doc} {number} é😀. "));
            peer.echoed().await;
        }
        peer.delete(0, 5);
        peer.echoed().await;
        let rename = json!({"title": format!("The title of {doc}")});
        let renamed = server
            .request(Method::PATCH, &format!("/api/docs/{doc}"), Some(rename))
            .await;
        assert_eq!(renamed.status(), 200);
    }
    node.join(&server, "author", "3.1", "values").await;
    node.ask(json!({"ask": "special", "name": "author"})).await;
    node.insert("author", "end").await;
    node.ask(json!({"ask": "close", "name": "author"})).await;
    server
        .until_metric("coscribe_compactions_total", |count| count > 0.0)
        .await;
    for doc in ["in-the-trash", "deleted"] {
        let trashed = server
            .request(Method::POST, &format!("/api/docs/{doc}/trash"), None)
            .await;
        assert_eq!(trashed.status(), 200);
    }
    let deleted = server
        .request(Method::DELETE, "/api/docs/deleted", None)
        .await;
    assert_eq!(deleted.status(), 204);
    assert_eq!(server.stop().await, 0);
    server.restart().await;
    let told = told(&server).await;
    assert_eq!(server.stop().await, 0);
    std::fs::create_dir_all(&folder).unwrap();
    Database::open(server.dir()).await.execute("VACUUM").await;
    std::fs::copy(server.dir().join("coscribe.db"), folder.join("coscribe.db")).unwrap();
    let told = serde_json::to_string_pretty(&told).unwrap();
    std::fs::write(folder.join("told.json"), told + "\n").unwrap();
}
