package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"alforja/gateway"
	"alforja/pickle"
)

type verify struct {
	pickleInput
	asJSON        bool
	policyName    string
	allow         []string
	secondOpinion bool

	policy  *pickle.Policy // nil with --policy none
	adviser *adviser       // nil without --second-opinion
}

func verifyCommand() *cobra.Command {
	var v verify
	cmd := &cobra.Command{
		Use:   "verify FILE...|-",
		Short: "Judge pickles as the gateway does",
		Long: `verify checks that pickles are well-formed, lists what loading them would import
and call, and judges that by the policy that serve applies to sessions.

--policy enforce is serve's default. strict lets pass only the harmless types
that the policy lists and what --allow names. report says what enforce would
refuse, and lets it pass, as serve does. none does not judge what is well-formed.

--second-opinion has the library gopickle read each pickle too, in a process of
its own, for 10 seconds and in 1 GiB at most, and says where it differs. The
exit code does not depend on it.

With --jsonl the answer is {"name": ..., "ok": BOOL, "report": {...}}, and
"error" where "ok" is false; with --policy report, "refused" is what enforce would
say. --json prints such lines for files.

Exit codes: 0 all pass, 1 some do not, 2 wrong command line.`,
		Example: `  alforja pickle verify /var/lib/app/sessions/*
  alforja pickle verify --policy strict --allow 'shop.*' session
  alforja pickle verify --json --second-opinion session | jq .second_opinion`,
		Args: cobra.ArbitraryArgs,
		RunE: v.run,
	}
	v.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&v.asJSON, "json", false, "print one JSON object for each file")
	cmd.Flags().StringVar(&v.policyName, "policy", "enforce", "what imports to refuse: enforce, strict, report (none, but say which) or none")
	cmd.Flags().StringArrayVar(&v.allow, "allow", nil, "a class or function that passes although policy refuses it, `package.module.Name` or package.*; may be repeated")
	cmd.Flags().BoolVar(&v.secondOpinion, "second-opinion", false, "have gopickle read the pickles too")
	return cmd
}

func (v *verify) run(cmd *cobra.Command, args []string) error {
	if v.jsonl {
		path, err := v.oneFile(cmd, args)
		if err != nil {
			return err
		}
		args = []string{path}
	}
	if err := v.check(cmd, args); err != nil {
		return err
	}
	if err := v.choosePolicy(); err != nil {
		return err
	}
	if v.secondOpinion {
		v.adviser = newAdviser(v.maxBytes)
		defer v.adviser.close()
	}
	if v.jsonl {
		return v.eachLine(cmd, args[0], func(l *pickleLine) answer { return v.line(cmd.Context(), l) })
	}
	failed := 0
	for _, path := range args {
		verdict := v.file(cmd, path)
		if !verdict.OK {
			failed++
		}
		text := verdict.text(path)
		if v.asJSON {
			text = fmt.Appendf(nil, `{"name":%s%s}`+"\n", jsonText(path), verdict.json(true))
		}
		if _, err := cmd.OutOrStdout().Write(text); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d do not verify", failed, len(args))
	}
	return nil
}

func (v *verify) choosePolicy() error {
	switch {
	case !slices.Contains([]string{"enforce", "strict", "report", "none"}, v.policyName):
		return oneOf("policy", v.policyName, "enforce", "strict", "report", "none")
	case v.policyName == "none" && len(v.allow) > 0:
		return usageError{errors.New("--allow has no effect with --policy none, which refuses no import")}
	case v.policyName == "none":
		return nil
	}
	policy, err := gateway.NewPolicy(v.allow, v.policyName == "strict")
	if err != nil {
		return usageError{fmt.Errorf("--allow: %w", err)}
	}
	v.policy = policy
	return nil
}

func (v *verify) file(cmd *cobra.Command, path string) verdict {
	data, err := v.read(cmd, path)
	if err != nil {
		return verdict{err: err}
	}
	return v.judge(cmd.Context(), data)
}

func (v *verify) line(ctx context.Context, l *pickleLine) answer {
	data, err := l.pickle()
	if err != nil {
		return answer{fields: []byte(`,"ok":false`), err: err}
	}
	verdict := v.judge(ctx, data)
	return answer{fields: verdict.json(false), err: verdict.err}
}

// A verdict is what verify says of one pickle.
type verdict struct {
	OK      bool
	Report  *pickle.Report // nil when the pickle is malformed
	Opinion *opinion       // nil when not asked for
	refused error          // by --policy report, which lets it pass
	err     error
}

func (v *verify) judge(ctx context.Context, data []byte) verdict {
	report, err := pickle.Verify(data, v.limits())
	said := verdict{err: err}
	if err == nil {
		said.Report = &report
		if v.policy != nil {
			said.err = v.policy.Check(report)
		}
		if v.policyName == "report" {
			said.refused, said.err = said.err, nil
		}
	}
	said.OK = said.err == nil
	if v.adviser != nil {
		said.Opinion = v.adviser.ask(ctx, data, err == nil)
	}
	return said
}

// text is the report for people.
func (v *verdict) text(name string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: ", printable(name))
	switch {
	case v.refused != nil:
		fmt.Fprintln(&b, "ok, but enforce refuses it:", explain(v.refused))
	case v.OK:
		b.WriteString("ok\n")
	default:
		fmt.Fprintln(&b, explain(v.err))
	}
	if r := v.Report; r != nil {
		fmt.Fprintf(&b, "  protocol %d, %d bytes", r.Protocol, r.Used)
		if r.Trailing > 0 {
			fmt.Fprintf(&b, " and %d after them", r.Trailing)
		}
		fmt.Fprintf(&b, ", depth %d, %d memo entries\n", r.Depth, r.Memo)
		for _, g := range r.Globals {
			fmt.Fprintf(&b, "  %-8s %s (byte %d)\n", g.Role, printable(g.Module+"."+g.Name), g.Offset)
		}
	}
	if v.Opinion != nil {
		fmt.Fprintf(&b, "  second opinion: %s\n", printable(v.Opinion.String()))
	}
	return b.Bytes()
}

// json is the verdict as fields of an object; of what is wrong the text only
// when withError is set.
func (v *verdict) json(withError bool) []byte {
	fields := []byte(fmt.Sprintf(`,"ok":%t`, v.OK))
	if v.Report != nil {
		fields = appendField(fields, "report", newReportFields(v.Report))
	}
	var syntax *pickle.SyntaxError
	var limit *pickle.LimitError
	var refused *pickle.RefusedError
	switch {
	case errors.As(v.err, &syntax):
		fields = appendField(appendField(fields, "offset", syntax.Offset), "opcode", syntax.Opcode)
	case errors.As(v.err, &limit):
		fields = appendField(appendField(fields, "offset", limit.Offset), "opcode", limit.Opcode)
	case errors.As(firstOf(v.err, v.refused), &refused) && refused.Global.Name != "":
		fields = appendField(appendField(fields, "offset", refused.Global.Offset), "allow", refused.Allow)
	}
	if v.Opinion != nil {
		fields = appendField(fields, "second_opinion", v.Opinion)
	}
	if v.refused != nil {
		fields = append(fields, `,"refused":`...)
		fields = append(fields, jsonText(explain(v.refused))...)
	}
	if withError && v.err != nil {
		fields = append(fields, `,"error":`...)
		fields = append(fields, jsonText(explain(v.err))...)
	}
	return fields
}

// appendField appends a field of a type that encoding/json can write.
func appendField(to []byte, name string, v any) []byte {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(v); err != nil {
		return to // never of the types above
	}
	return fmt.Appendf(to, `,%q:%s`, name, bytes.TrimSpace(b.Bytes()))
}

// reportFields is pickle.Report as JSON.
type reportFields struct {
	Protocol      int            `json:"protocol"`
	Used          int            `json:"used"`
	Trailing      int            `json:"trailing"`
	Depth         int            `json:"depth"`
	Memo          int            `json:"memo"`
	PersistentIDs int            `json:"persistent_ids"`
	Globals       []globalFields `json:"globals"`
}

type globalFields struct {
	Module  string   `json:"module"`
	Name    string   `json:"name"`
	Role    string   `json:"role"`
	Offset  int      `json:"offset"`
	Args    []string `json:"args,omitempty"` // kinds of the first four
	Count   int      `json:"args_count"`
	Unknown bool     `json:"args_unknown,omitempty"`
	Derived bool     `json:"derived,omitempty"`
	State   bool     `json:"state,omitempty"`
	Items   bool     `json:"items,omitempty"`
}

func newReportFields(r *pickle.Report) reportFields {
	fields := reportFields{r.Protocol, r.Used, r.Trailing, r.Depth, r.Memo, r.PersistentIDs, []globalFields{}}
	for _, g := range r.Globals {
		f := globalFields{
			Module: g.Module, Name: g.Name, Role: g.Role.String(), Offset: g.Offset,
			Count: g.Args.Count, Unknown: g.Args.Unknown, Derived: g.Derived, State: g.State, Items: g.Items,
		}
		for _, kind := range g.Args.Kinds[:min(g.Args.Count, len(g.Args.Kinds))] {
			f.Args = append(f.Args, kind.String())
		}
		fields.Globals = append(fields.Globals, f)
	}
	return fields
}
