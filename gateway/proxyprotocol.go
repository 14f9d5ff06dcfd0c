package gateway

import (
	"fmt"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// acceptPROXY returns a listener whose connections begin with a header of the
// PROXY protocol, version 1 or 2, as HAProxy, nginx's stream module and cloud
// load balancers send it. The connection's addresses become those that the header
// has. Connections of peers that are not trusted are closed at once, and those that
// send no header when they are first read: a client must not be able to choose.
//
// The protocol: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
func acceptPROXY(listener net.Listener, trusted *TrustedProxies, timeout time.Duration) net.Listener {
	return &proxyproto.Listener{
		Listener:          listener,
		ReadHeaderTimeout: timeout,
		ConnPolicy: func(opts proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if !trusted.trustsPeer(opts.Upstream.String()) {
				return proxyproto.REJECT, fmt.Errorf("%w: %v", proxyproto.ErrInvalidUpstream, opts.Upstream)
			}
			return proxyproto.REQUIRE, nil
		},
	}
}
