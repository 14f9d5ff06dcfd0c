// Package gateway is the way of a request from a front server or a browser to
// a Quixote worker and back, with its session.
//
// Its parts are http.Handlers that go around one another:
//
//	TrustedProxies   where the client is, if a proxy that is believed says so
//	AccessLog        one line a request
//	BoundStalls      clients that stand still
//	RefuseMalformed  what no application should see
//	ServeStatic      files, without a worker
//	BufferBodies     the body, whole, before anything is held for the request
//	Sessions         cookie, lock, load, verify; commit and unlock
//	Proxy            a free worker of the Pool, over SCGI
//
// and Gateway puts them together with listeners, a Supervisor that runs the
// worker processes, and the socket by which workers reach other sessions. What
// passes between the gateway and a worker is described in docs/protocol.md.
package gateway
