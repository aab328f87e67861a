package register

//go:generate go tool -modfile=../.tools/go.mod oapi-codegen -config oapi-client.yaml openapi.yaml
