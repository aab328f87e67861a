package local

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// AddressesForPhone are this machine's addresses in its local networks, IPv4 first, as a phone in the same network
// would dial them.
func AddressesForPhone() []string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var four, six []string
	for _, each := range interfaces {
		if each.Flags&net.FlagUp == 0 || each.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := each.Addrs()
		if err != nil {
			continue
		}
		for _, address := range addresses {
			network, ok := address.(*net.IPNet)
			switch {
			case !ok || !network.IP.IsGlobalUnicast():
			case network.IP.To4() != nil:
				four = append(four, network.IP.String())
			default:
				six = append(six, network.IP.String())
			}
		}
	}
	return append(four, six...)
}

// PhoneAdvice says in a few lines how to reach a local homeserver from a phone: addresses, and the certificate that
// phone clients insist on.
func PhoneAdvice(server Homeserver) string {
	address, err := url.Parse(server.URL())
	if err != nil {
		return ""
	}
	port := address.Port()
	here := strings.Join(AddressesForPhone(), ", ")
	if here == "" {
		here = "no network"
	}
	lines := []string{"From a phone (this machine is at " + here + "):"}
	if https := server.HTTPSPort(); https != 0 {
		lines = append(lines, fmt.Sprintf("  https on port %d, under the name your certificate is for, such as https://matrix.example.org:%d", https, https))
	} else {
		lines = append(lines,
			"  Phone clients talk https only, with a certificate they trust; one you signed yourself they refuse. Put one of these in front:",
			"    tailscale serve --bg "+port+"             a name and certificate inside your own tailnet",
			"    caddy reverse-proxy --from matrix.example.org --to 127.0.0.1:"+port+"   for a name that leads to this machine",
			"    make up TLS_CERT=cert.pem TLS_KEY=key.pem   if you have a certificate: the homeserver then speaks https itself")
	}
	if !server.SlidingSync() {
		lines = append(lines, "  Element X needs sliding sync, which this server lacks: make up SERVER=synapse. Element (classic) and FluffyChat work.")
	}
	return strings.Join(append(lines, "  Then sign in there with the https address as homeserver and one of the users above."), "\n")
}
