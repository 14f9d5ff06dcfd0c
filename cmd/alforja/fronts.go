package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"alforja/gateway"
)

// frontSettings are the settings of what clients meet.
type frontSettings struct {
	http, https, scgi []string
	tlsCert, tlsKey   string
	proxyProtocol     []string
	trustedProxies    []string
	forwarded         string
	socketMode        string
	socketOwner       string
	socketGroup       string
	maxHeader         byteSize
	maxConnections    int
	maxBody           byteSize
	maxSpool          byteSize
	headerTimeout     time.Duration
	stallTimeout      time.Duration
	idleTimeout       time.Duration
	responseMemory    byteSize
	responseFile      byteSize
	static            []string
	sendfileRoots     []string
	accessLog         string
	accessLogFormat   string
}

// addFlags adds those that only serve has.
func (s *frontSettings) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&s.http, "http", nil, "listen for HTTP at this `address`: host:port, unix:PATH, or systemd:NAME for a socket of that name; may be repeated")
	flags.StringArrayVar(&s.https, "https", nil, "listen for HTTP over TLS, HTTP/2 too, at this `address`; may be repeated")
	flags.StringArrayVar(&s.scgi, "scgi", nil, "listen for SCGI at this `address`; may be repeated")
	flags.StringVar(&s.tlsCert, "tls-cert", "", "PEM `file` with the certificate for --https and the chain behind it; read again when it changes")
	flags.StringVar(&s.tlsKey, "tls-key", "", "PEM `file` with the certificate's key")
	flags.StringArrayVar(&s.proxyProtocol, "proxy-protocol", nil, "`address`, as --http or --https has it, whose connections begin with a PROXY protocol header; may be repeated")
	flags.StringArrayVar(&s.trustedProxies, "trusted-proxy", nil, "`address` or network that is believed about where a request came from, or unix; may be repeated")
	flags.StringVar(&s.forwarded, "forwarded", "x-forwarded", "how trusted proxies say it: x-forwarded (X-Forwarded-For, -Proto, -Host) or forwarded (RFC 7239)")
	flags.StringVar(&s.socketMode, "socket-mode", "", "octal `mode` of unix: addresses, such as 0660; the web server must be able to write (default: by the umask)")
	flags.StringVar(&s.socketOwner, "socket-owner", "", "`user` who owns unix: addresses (default: this process's)")
	flags.StringVar(&s.socketGroup, "socket-group", "", "`group` of unix: addresses (default: this process's)")
	flags.StringArrayVar(&s.static, "static", nil, "serve the files of a directory below a path without a worker, `/PATH=DIRECTORY`; may be repeated")
	flags.StringArrayVar(&s.sendfileRoots, "sendfile-root", nil, "`directory` from which the application may have files sent by X-Sendfile; may be repeated")
}

// addSharedFlags adds those that demo has too.
func (s *frontSettings) addSharedFlags(flags *pflag.FlagSet) {
	s.maxBody, s.maxSpool, s.maxHeader, s.responseMemory, s.responseFile = 1<<30, 8<<30, 64<<10, 64<<10, 1<<30
	flags.Var(&s.maxSpool, "max-spool", "how much of the temporary directory request bodies and responses may take, all together, in `bytes`; further requests are answered 503, further responses hold their worker")
	flags.Var(&s.maxBody, "max-body", "longest request body in `bytes`, or as 100M")
	flags.Var(&s.maxHeader, "max-header", "longest request header in `bytes`, or as 64K")
	flags.IntVar(&s.maxConnections, "max-connections", 10_000, "how many connections one address serves at a time; more wait")
	flags.DurationVar(&s.headerTimeout, "header-timeout", 10*time.Second, "how long a request's header may take")
	flags.DurationVar(&s.stallTimeout, "stall-timeout", time.Minute, "how long a client may send nothing of a body, or take for 64 KiB of one that it gets")
	flags.DurationVar(&s.idleTimeout, "idle-timeout", 2*time.Minute, "how long a connection is kept for another request")
	flags.Var(&s.responseMemory, "response-memory", "how much of a response is held in memory for a slow client, in `bytes`; more goes to a file")
	flags.Var(&s.responseFile, "response-file", "longest response that goes to a file, in `bytes`; a longer one holds its worker")
	flags.StringVar(&s.accessLog, "access-log", "", "`file` for one line a request, - for standard output; SIGUSR1 opens it anew (default: with everything else)")
	flags.StringVar(&s.accessLogFormat, "access-log-format", "json", "format of --access-log: json or combined")
}

// addTo puts the settings into a gateway's options.
func (s *frontSettings) addTo(opts *gateway.Options) error {
	var mode uint64
	var err error
	if s.socketMode != "" {
		if mode, err = strconv.ParseUint(s.socketMode, 8, 9); err != nil {
			return usageError{fmt.Errorf("--socket-mode %q is no octal mode such as 0660", s.socketMode)}
		}
	}
	opts.FrontOptions = gateway.FrontOptions{
		HTTP:            s.http,
		HTTPS:           s.https,
		SCGI:            s.scgi,
		TLSCert:         s.tlsCert,
		TLSKey:          s.tlsKey,
		ProxyProtocol:   s.proxyProtocol,
		TrustedProxies:  s.trustedProxies,
		ForwardedHeader: gateway.ForwardedHeader(s.forwarded),
		SocketMode:      os.FileMode(mode),
		SocketOwner:     s.socketOwner,
		SocketGroup:     s.socketGroup,
		MaxHeader:       int(s.maxHeader),
		MaxConnections:  s.maxConnections,
		HeaderTimeout:   s.headerTimeout,
		StallTimeout:    s.stallTimeout,
		IdleTimeout:     s.idleTimeout,
	}
	opts.MaxBody, opts.MaxSpool = int64(s.maxBody), int64(s.maxSpool)
	opts.Response = gateway.ResponseLimits{Memory: int(s.responseMemory), File: int64(s.responseFile)}
	opts.Static = map[string]string{}
	for _, text := range s.static {
		prefix, dir, found := strings.Cut(text, "=")
		if !found {
			return usageError{fmt.Errorf("--static %q: want /PATH=DIRECTORY", text)}
		}
		if opts.Static[prefix], err = filepath.Abs(dir); err != nil {
			return err
		}
	}
	for _, dir := range s.sendfileRoots {
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		opts.Sendfile = append(opts.Sendfile, dir)
	}
	return nil
}
