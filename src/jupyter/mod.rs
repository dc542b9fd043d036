//! What valid messages, kernelspecs and connection files are: formats, no sockets.
