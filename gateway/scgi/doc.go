// Package scgi speaks SCGI from both ends: a [Server] that hands requests of
// a web server such as nginx to an [http.Handler], and a [Transport], an
// [http.RoundTripper] that asks an SCGI worker such as Quixote's.
//
// SCGI is CGI over a socket. A request is a netstring that holds CGI
// variables, name and value each ended by a NUL byte, then the body; the
// response is what a CGI script prints; the end of the connection ends both.
// The package follows the SCGI specification of 2008
// (https://python.ca/scgi/protocol.txt) and RFC 3875 for the variables and the
// response. Where web servers differ from these, it follows the web servers.
//
// What a web server says in variables that have no HTTP form (REMOTE_USER,
// SSL_*, an application's own) stays within a handler's reach by [Env], and a
// Transport that is given the request's context sends it on.
//
// Variables whose name begins with ALFORJA_ or HTTP_ALFORJA_ are reserved for
// the program that embeds this package: both ends drop them from whatever
// they receive, but for a Server with KeepReserved, and only [NewContext] sends
// them.
package scgi

import (
	"context"
	"maps"
)

type (
	envKey      struct{} // map[string]string: what an SCGI front sent
	reservedKey struct{} // map[string]string: the reserved ones among it
	extraKey    struct{} // map[string]string: what NewContext added
)

// Env returns the CGI variables of a request that came in by a [Server], or
// nil for any other context. Repeated HTTP_* variables are joined to one as
// in the request's Header; reserved variables, HTTP_PROXY, HTTP_CONTENT_LENGTH and
// HTTP_CONTENT_TYPE are gone. The map must not be changed.
func Env(ctx context.Context) map[string]string {
	env, _ := ctx.Value(envKey{}).(map[string]string)
	return env
}

// Reserved returns the reserved variables of a request that came in by a
// [Server] with KeepReserved, or nil for any other context.
func Reserved(ctx context.Context) map[string]string {
	vars, _ := ctx.Value(reservedKey{}).(map[string]string)
	return vars
}

// WithEnv returns a context whose [Env] is env, for a handler that knows better
// than the front. The caller must not change env afterwards.
func WithEnv(ctx context.Context, env map[string]string) context.Context {
	return context.WithValue(ctx, envKey{}, env)
}

// NewContext returns a context with variables that [Transport] sends as they
// are, in place of any variable of the same name that it would send
// otherwise. CONTENT_LENGTH and SCGI cannot be replaced: they frame the
// request. Nor can ALFORJA_KEEP, which is the Transport's own. Variables of an earlier NewContext stay, where vars does not name
// them again. The caller must not change vars afterwards.
func NewContext(ctx context.Context, vars map[string]string) context.Context {
	if earlier := extra(ctx); len(earlier) > 0 {
		both := maps.Clone(earlier)
		maps.Copy(both, vars)
		vars = both
	}
	return context.WithValue(ctx, extraKey{}, vars)
}

func extra(ctx context.Context) map[string]string {
	vars, _ := ctx.Value(extraKey{}).(map[string]string)
	return vars
}
