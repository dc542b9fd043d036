// Written by `labextension/build`: the built files, by their path below the extension’s directory.
#[rustfmt::skip]
pub(super) const FILES: &[(&str, &[u8])] = &[
    ("install.json", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/install.json")),
    ("package.json", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/package.json")),
    ("static/43.5f6bc0106370120fb8b4.js", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/43.5f6bc0106370120fb8b4.js")),
    ("static/448.ed2b06b9a786b5d94204.js", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/448.ed2b06b9a786b5d94204.js")),
    ("static/remoteEntry.c7d1f790e8ce20157e0d.js", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/remoteEntry.c7d1f790e8ce20157e0d.js")),
    ("static/style.js", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/style.js")),
    ("static/third-party-licenses.json", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/third-party-licenses.json")),
];
