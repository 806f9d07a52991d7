use crate::fixture::Folder;
pub async fn assert_sound(_folder: &Folder) {}
