package tuf

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"checkpoint/trust"
)

// keyChanges says in words whose keys came and went, role by role; before is nil,
// or metadata that vouched for the roles.
func keyChanges(before, now any, roles ...string) (words []string) {
	for _, role := range roles {
		next, err := keysOf(now, role)
		if err != nil {
			continue
		}
		last, err := keysOf(before, role)
		if err != nil {
			words = append(words, fmt.Sprintf("%s: %d of %s", role, next.threshold, plural(len(next.ids), "key")))
		} else if last.threshold != next.threshold {
			words = append(words, fmt.Sprintf("%s: threshold %d, was %d", role, next.threshold, last.threshold))
		}
		for _, id := range next.ids {
			if !slices.Contains(last.ids, id) {
				words = append(words, fmt.Sprintf("%s: new key %s (%.8s)", role, next.name(id), id))
			}
		}
		for _, id := range last.ids {
			if !slices.Contains(next.ids, id) {
				words = append(words, fmt.Sprintf("%s: key %s (%.8s) is taken away", role, last.name(id), id))
			}
		}
	}
	return words
}

// fileChanges says which target files are new, other ones, or gone.
func fileChanges(was, now map[string][]byte) (words []string) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch old, had := was[name]; {
		case !had:
			words = append(words, fmt.Sprintf("%s: new, %d bytes", name, len(now[name])))
		case !bytes.Equal(old, now[name]):
			words = append(words, fmt.Sprintf("%s: changed, %d bytes, was %d", name, len(now[name]), len(old)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, stays := now[name]; !stays {
			words = append(words, name+": gone")
		}
	}
	return words
}

// contentChanges says what changes in what a signer answers for.
func contentChanges(was, now *trust.Snapshot) (words []string) {
	if now == nil {
		return nil
	}
	if was == nil {
		was = new(trust.Snapshot)
	}
	issuers := func(s *trust.Snapshot) map[string]string {
		all := map[string]string{}
		for _, k := range s.Issuers.Keys {
			all[k.KID.String()] = fmt.Sprintf("%s, %v, %v, until %s", k.Name, k.Regions, k.Colours, k.NotAfter.Format("2006-01-02"))
		}
		return all
	}
	days := func(s *trust.Snapshot) map[string]string {
		all := map[string]string{}
		for _, k := range s.DayKeys.Keys {
			all[k.ID] = "has a key"
			if k.Destroyed {
				all[k.ID] = "is destroyed"
			}
		}
		return all
	}
	receipts := func(s *trust.Snapshot) map[string]string {
		all := map[string]string{}
		for _, k := range s.ReceiptKeys {
			all[k.ID.String()] = "until " + k.NotAfter.Format("2006-01-02")
		}
		return all
	}
	hubs := func(s *trust.Snapshot) map[string]string {
		all := map[string]string{}
		for _, k := range s.HubCA {
			all[fmt.Sprintf("%x", k.SPKI[:8])] = k.Name
		}
		return all
	}
	words = append(words, entryChanges("issuer", issuers(was), issuers(now))...)
	words = append(words, entryChanges("day", days(was), days(now))...)
	words = append(words, entryChanges("receipt key", receipts(was), receipts(now))...)
	words = append(words, entryChanges("hub CA", hubs(was), hubs(now))...)
	count := func(list string, was, now int) {
		if was != now {
			words = append(words, fmt.Sprintf("%s: %d, were %d", list, now, was))
		}
	}
	count("policy rules", len(was.Policy.Rules), len(now.Policy.Rules))
	count("EU keys", len(was.DCCKeys.Keys), len(now.DCCKeys.Keys))
	count("superseded", len(was.Revoked.Superseded), len(now.Revoked.Superseded))
	count("withdrawn", len(was.Revoked.Withdrawn), len(now.Revoked.Withdrawn))
	for _, s := range now.Skipped {
		words = append(words, fmt.Sprintf("%s: entry %d cannot be used: %s", s.List, s.Index, s.Why))
	}
	return words
}

func entryChanges(what string, was, now map[string]string) (words []string) {
	for _, id := range slices.Sorted(maps.Keys(now)) {
		switch old, had := was[id]; {
		case !had:
			words = append(words, fmt.Sprintf("%s %s: new: %s", what, id, now[id]))
		case old != now[id]:
			words = append(words, fmt.Sprintf("%s %s: now %s; was %s", what, id, now[id], old))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(was)) {
		if _, stays := now[id]; !stays {
			words = append(words, fmt.Sprintf("%s %s: taken off", what, id))
		}
	}
	return words
}
