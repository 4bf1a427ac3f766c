"""Pod life without a cluster: what kubelet and the autoscaler do, to real replicas behind a real nginx."""
