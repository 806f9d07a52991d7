//! `/api/openapi.json`: the description of the API, kept by hand beside the handlers.

use actix_web::{HttpResponse, http::header};

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::ROUTES;

    #[test]
    fn the_description_names_exactly_the_routes_that_exist() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| *key != "parameters")
            {
                described.insert((path.clone(), method.to_uppercase()));
            }
        }
        let existing: BTreeSet<_> = ROUTES
            .iter()
            .flat_map(|(path, methods)| {
                methods
                    .iter()
                    .map(|method| ((*path).to_owned(), (*method).to_owned()))
            })
            // HEAD goes without saying wherever there is GET.
            .filter(|(_, method)| method != "HEAD")
            .collect();
        assert_eq!(described, existing);
    }

    #[test]
    fn every_reference_in_the_description_leads_somewhere() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        for reference in DOCUMENT.split("\"$ref\":").skip(1) {
            let target = reference.split('"').nth(1).unwrap();
            assert!(
                document.pointer(target.trim_start_matches('#')).is_some(),
                "{target}"
            );
        }
    }
}
