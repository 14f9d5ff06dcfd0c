package main

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

// TestRestartKeys: what a reload leaves as it was is named, and nothing else.
func TestRestartKeys(t *testing.T) {
	read := func(flags ...string) *settings {
		s := &settings{pool: defaultPool(), flags: pflag.NewFlagSet("serve", pflag.ContinueOnError)}
		s.addServeFlags(s.flags)
		if err := s.flags.Parse(flags); err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := read("--https", "a:1", "--tls-cert", "a")
	for _, test := range []struct {
		flags []string
		want  []string
	}{
		{[]string{"--https", "a:1", "--tls-cert", "a"}, nil},
		{[]string{"--https", "a:1", "--tls-cert", "b", "--max-body", "1M", "--skip", "/a"}, nil},
		{[]string{"--tls-cert", "b", "--store", "memory:"}, []string{"https", "store", "tls_cert"}},
		{[]string{"--https", "a:1", "--tls-cert", "a", "--proxy-protocol", "a:1", "--trusted-proxy", "unix"}, []string{"proxy_protocol", "trusted_proxy"}},
	} {
		if got := before.restartKeys(read(test.flags...)); !slices.Equal(got, test.want) {
			t.Errorf("%v: %v, want %v", test.flags, got, test.want)
		}
	}
}

// Flags that are renamed must not be forgotten here.
func TestRestartFlagsAreThere(t *testing.T) {
	s := settings{pool: defaultPool()}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.addServeFlags(flags)
	s.pool.addPoolFlags(flags)
	for _, name := range restartFlags {
		if flags.Lookup(name) == nil {
			t.Errorf("no flag --%s", name)
		}
	}
}
