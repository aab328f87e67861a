package local

// StateFolder is where a checkout keeps what it makes: programs, the cluster, the homeserver's data, secrets, logs.
const StateFolder = ".mosaic"
