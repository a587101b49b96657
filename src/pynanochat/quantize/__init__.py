"""Weights in 8 and 4 bits: what the formats mean (`formats`) and how floats become them (`quantizer`)."""
