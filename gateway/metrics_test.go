package gateway

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// describe reads what a prometheus.Desc says of itself only by String.
var describe = regexp.MustCompile(`^Desc\{fqName: "(\w+)", help: "(.*?)".*, constLabels: \{\}, variableLabels: \{([\w,]*)\}\}$`)

// kindOf follows from the name, as Prometheus' conventions have it; TestMetrics
// compares.
func kindOf(name string) string {
	switch {
	case strings.HasSuffix(name, "_total"):
		return "counter"
	case strings.HasSuffix(name, "_seconds"):
		return "histogram"
	}
	return "gauge"
}

// metricRows are the rows of the table, by name.
func metricRows(t *testing.T, own []prometheus.Collector) map[string]string {
	descs := make(chan *prometheus.Desc, 100)
	for _, c := range own {
		c.Describe(descs)
	}
	close(descs)
	rows := map[string]string{}
	for desc := range descs {
		match := describe.FindStringSubmatch(desc.String())
		if match == nil {
			t.Fatalf("%v", desc)
		}
		labels := strings.Split(match[3], ",")
		slices.Sort(labels) // as /metrics has them
		rows[match[1]] = fmt.Sprintf("| `%s` | %s | %s | %s |\n", match[1], kindOf(match[1]), strings.Join(labels, ", "), match[2])
	}
	return rows
}

// TestMetrics: the table of docs/operations.md has what /metrics answers, by
// name, kind and labels, and nothing else.
func TestMetrics(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin")
	g := runTestGateway(t, Options{
		FrontOptions: FrontOptions{HTTP: []string{"127.0.0.1:0"}},
		Pools:        []WorkerPool{{Supervised: SupervisorOptions{Command: []string{"/bin/sleep", "600"}, Workers: 1}}, {Prefix: "/b", Name: "b", Backends: []string{"unix:/none"}}},
		Admin:        AdminOptions{Addresses: []string{"unix:" + socket}},
	})
	rows := metricRows(t, g.metrics.own)
	const path = "../docs/operations.md"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const header = "| metric | kind | labels | what it says |\n|---|---|---|---|\n"
	before, after, found := strings.Cut(string(data), header)
	if !found {
		t.Fatalf("%s has no table of metrics", path)
	}
	_, after, _ = strings.Cut(after, "\n\n")
	var table string
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		table += rows[name]
	}
	want := before + header + table + "\n" + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(data) {
		t.Errorf("%s is not what the metrics are: run go test ./gateway -run TestMetrics -update", path)
	}

	// A metric with labels is there once it has a value.
	g.metrics.requests.WithLabelValues("200")
	g.metrics.sessions.WithLabelValues("save")
	g.metrics.storeTime.WithLabelValues("load")
	g.metrics.storeErrors.WithLabelValues("load")
	<-g.running
	answered := map[string]string{}
	for ; len(answered) < len(rows) && t.Context().Err() == nil; time.Sleep(10 * time.Millisecond) {
		families, err := g.metrics.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if !strings.HasPrefix(family.GetName(), "alforja_") {
				continue
			}
			var labels []string
			for _, label := range family.Metric[0].Label {
				labels = append(labels, label.GetName())
			}
			answered[family.GetName()] = strings.ToLower(family.GetType().String()) + " | " + strings.Join(labels, ", ")
		}
	}
	for name, is := range answered {
		if !strings.Contains(rows[name], "| "+is+" |") {
			t.Errorf("%s is %s, and in the table %q", name, is, rows[name])
		}
	}
}
