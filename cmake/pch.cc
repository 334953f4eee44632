// Holds the precompiled headers; has no code.
