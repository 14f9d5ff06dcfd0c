package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"alforja/gateway"
	"alforja/pickle"
	"alforja/store"
	"alforja/store/catalog"
)

func globalsCommand() *cobra.Command {
	var o operator
	cmd := &cobra.Command{
		Use:   "globals",
		Short: "Count the classes and functions that sessions hold",
		Long: `globals prints every class and function that sessions would import: how many
sessions hold it, in which roles (class: instances are made; called; loaded:
held as a value), and whether a gateway with this --allow refuses it, or with
the policy of --config.

It ends with the allow-list to paste into the configuration. What the policy
refuses stands there in comments, with the reason: anyone who can write a
session can put a name there. Look at each before you take the # away.`,
		Example: `  alforja sessions globals --store directory:/var/lib/app/sessions
  alforja sessions globals --config /etc/alforja.toml --json | jq 'select(.allowed | not)'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := o.open(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			g := globals{byName: o.policy == "strict"}
			for strict, policy := range map[bool]**pickle.Policy{false: &g.policy, true: &g.strict} {
				if *policy, err = gateway.NewPolicy(o.allow, strict); err != nil {
					return usageError{fmt.Errorf("--allow: %w", err)}
				}
			}
			return g.run(cmd, s, o.asJSON)
		},
	}
	o.addStoreFlags(cmd.Flags())
	o.addAllowFlag(cmd.Flags())
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print an object a line: name, sessions, roles, allowed, reason")
	return cmd
}

// globals counts what sessions hold.
type globals struct {
	policy, strict *pickle.Policy
	byName         bool // the gateway's policy is strict
	tally          catalog.Tally
	unread         int // sessions that could not be read
}

func (g *globals) run(cmd *cobra.Command, s store.Store, asJSON bool) error {
	err := g.count(cmd, s)
	out := bufio.NewWriter(cmd.OutOrStdout())
	if asJSON {
		err = firstOf(g.printJSON(out), err)
	} else {
		g.print(out)
	}
	err = ended(cmd.Context(), firstOf(err, out.Flush()))
	if err == nil && g.unread > 0 {
		err = fmt.Errorf("%s could not be read: what they hold is not among these", plural(g.unread, "session"))
	}
	return err
}

// refusal returns what the gateway has against a name, or nil.
func (g *globals) refusal(use *catalog.Use) *pickle.RefusedError {
	if use.Refused != nil || !g.byName {
		return use.Refused
	}
	return g.unnamed(use)
}

// unnamed returns what a strict policy has against a name that another allows.
func (g *globals) unnamed(use *catalog.Use) *pickle.RefusedError {
	refused, _ := g.strict.Check(pickle.Report{Globals: []pickle.Global{use.Example}}).(*pickle.RefusedError)
	return refused
}

func (g *globals) count(cmd *cobra.Command, s store.Store) error {
	p := newProgress(cmd, 0)
	defer p.clear()
	type result struct {
		id     string
		report *pickle.Report // nil of one that does not verify
		found  bool
		err    error
	}
	return catalog.Scan(cmd.Context(), s, func(ctx context.Context, info store.Info) result {
		r := result{id: info.ID}
		var state []byte
		state, r.found, r.err = s.Load(ctx, info.ID)
		if errors.Is(r.err, store.ErrTooLarge) { // nobody can use it
			return result{id: info.ID, found: true}
		}
		if r.err != nil || !r.found {
			return r
		}
		if report, err := pickle.Verify(state, pickle.Limits{}); err == nil {
			r.report = &report
		}
		return r
	}, func(r result) error {
		p.step()
		switch {
		case r.err != nil && cmd.Context().Err() == nil:
			g.unread++
			complain(cmd, p, "session "+shortened(r.id), r.err)
		case r.err == nil && r.found:
			g.tally.Add(r.report, g.policy)
		}
		return nil
	})
}

func (g *globals) printJSON(out *bufio.Writer) error {
	for _, use := range g.tally.Uses() {
		refused := g.refusal(use)
		line := struct {
			*catalog.Use
			Allowed bool   `json:"allowed"`
			Reason  string `json:"reason,omitempty"`
		}{use, refused == nil, ""}
		if refused != nil {
			line.Reason = refused.Reason
		}
		if err := printJSON(out, line); err != nil {
			return err
		}
	}
	return nil
}

// print prints a table, and the allow-list in TOML.
func (g *globals) print(out *bufio.Writer) {
	uses := g.tally.Uses()
	fmt.Fprintf(out, "# %s, %d of them malformed\n", plural(g.tally.Sessions, "session"), g.tally.Broken)
	if g.unread > 0 {
		fmt.Fprintf(out, "# %s not read\n", plural(g.unread, "more session"))
	}
	if g.tally.Beyond > 0 {
		fmt.Fprintf(out, "# %d imports not counted: more than %d names\n", g.tally.Beyond, catalog.MaxTally)
	}
	for _, use := range uses {
		verdict := ""
		if g.refusal(use) != nil {
			verdict = "  REFUSED"
		}
		fmt.Fprintf(out, "# %9d  %s  (%s)%s\n", use.Sessions, printable(use.Name), roles(use), verdict)
	}
	fmt.Fprintln(out, "allow = [")
	for _, use := range uses {
		switch {
		case use.Refused != nil && use.Refused.Allow != "":
			fmt.Fprintf(out, "  # %s,  # refused: %s\n", tomlString(use.Name), printable(use.Refused.Reason))
		case use.Refused == nil && g.unnamed(use) != nil:
			fmt.Fprintf(out, "  %s,\n", tomlString(use.Name))
		}
	}
	fmt.Fprintln(out, "]")
}

func roles(use *catalog.Use) string {
	return strings.Join(slices.Sorted(maps.Keys(use.Roles)), ", ")
}

// tomlString writes a basic string of TOML v1.0.0: a name in a hostile pickle
// may hold anything.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f || printable(string(r)) != string(r):
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
