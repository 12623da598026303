"""HTTP: puts protocols and probes on routes. Knows the shared words and codecs; knows no engine and no registry."""
