package main

import "fmt"

// didYouMean returns a hint at the name nearest to what was written, with
// prefix before it, or "" when none is near.
func didYouMean(written string, names []string, prefix string) string {
	best, bestDistance := "", len(written)/2+1
	for _, name := range names {
		if d := editDistance(written, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s%s?", prefix, best)
}

// editDistance counts the insertions, deletions and replacements that make b
// out of a (Levenshtein's distance).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
