//! A bundle: deterministic, content-addressed zstd layers in an OCI image layout, in one tar file (`NAME.nbpack`).

pub mod config;
