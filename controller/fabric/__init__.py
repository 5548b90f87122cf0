"""The network around the anchors: topology files, shortest paths, and the static entries that follow from them."""
