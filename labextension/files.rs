// Written by `labextension/build`: the built files, by their path below the extension’s directory.
#[rustfmt::skip]
pub(super) const FILES: &[(&str, &[u8])] = &[
    ("install.json", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/install.json")),
    ("package.json", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/package.json")),
    ("static/43.5f6bc0106370120fb8b4.js", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/43.5f6bc0106370120fb8b4.js")),
    ("static/448.482d3717b9c51ec46443.js", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/448.482d3717b9c51ec46443.js")),
    ("static/remoteEntry.317020739c095ff506b6.js", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/remoteEntry.317020739c095ff506b6.js")),
    ("static/style.js", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/style.js")),
    ("static/third-party-licenses.json", include_bytes!("../kernelspec/data/share/jupyter/labextensions/nbpack/static/third-party-licenses.json")),
];
