package register

import _ "embed"

// Contract is openapi.yaml, the gateway API's contract, as it was when this program was built.
//
//go:embed openapi.yaml
var Contract []byte
