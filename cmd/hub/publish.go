package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"checkpoint/enroll"
	"checkpoint/hub"
	"checkpoint/trust/tuf"
)

// Names in a ceremony's folder, which goes from signer to signer.
const (
	fileRoles  = "roles.json" // who has which key
	dirPlain   = "plain"      // the lists as people write them
	dirDrafts  = "drafts"     // what is being signed: ROLE.json, and ROLE.files/ for the lists that it names
	dirRepo    = "repository" // what is signed: this is what gates fetch
	draftEnd   = ".json"
	draftFiles = ".files"
)

// offlineRoles are the roles that people sign, in the order in which one vouches
// for the next.
var offlineRoles = []string{tuf.RoleRoot, tuf.RoleTargets, tuf.RoleDayKeys, tuf.RoleRevoked}

func newPublishCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "publish [command]",
		Short: "Sign what gates trust, away from the hub, and bring it to the hub",
		Long: "Sign what gates trust, away from the hub, and bring it to the hub. The keys stay\n" +
			"with their holders, on machines without a network; one folder goes from one to\n" +
			"the next. docs/ceremony.md tells it step by step.\n\n" +
			"  who                          command\n" +
			"  the hub's operator           hub publish roles FOLDER\n" +
			"  every holder, once           hub publish key NAME\n" +
			"  whoever writes the lists     hub publish draft ROLE FOLDER\n" +
			"  enough holders of the role   hub publish sign FOLDER/drafts/ROLE.json --key FILE\n" +
			"  anybody                      hub publish check FOLDER\n" +
			"  the hub's operator           hub publish push FOLDER",
		Example: `# Revocations, every 12 hours, by headquarters alone
hub publish draft revoked ceremony
hub publish sign ceremony/drafts/revoked.json --key revoked-1.key
hub publish push ceremony`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	c.AddCommand(newPublishKeyCommand(a), newPublishRolesCommand(a), newPublishDraftCommand(a), newPublishSignCommand(a),
		newPublishCheckCommand(a), newPublishPushCommand(a), newPublishPullCommand(a), newPublishShowCommand(a))
	return c
}

func newPublishKeyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "key NAME…",
		Short: "Make a holder's key pair: NAME.key and NAME.pem",
		Long: "Make a holder's key pair. NAME.key is the private key (Ed25519, PKCS #8), mode\n" +
			"0600: it stays with its holder, on a machine without a network. NAME.pem is the\n" +
			"public key: it goes into the ceremony's folder, beside roles.json.",
		Example: `hub publish key root-1`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, names []string) error {
			for _, name := range names {
				private, public, err := tuf.NewKey()
				if err != nil {
					return faultf("publish key: %w", err)
				}
				if err := writeNew(name+".key", private, 0o600); err != nil {
					return faultf("publish key: %w", err)
				}
				if err := writeNew(name+".pem", public, 0o644); err != nil {
					return faultf("publish key: %w", err)
				}
				if _, err := fmt.Fprintf(a.out, "%s.key stays with its holder; %s.pem goes beside roles.json\n", oneLine(name), oneLine(name)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newPublishRolesCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "roles FOLDER",
		Short: "Begin a ceremony's folder, with this hub's public keys in it",
		Long: "Begin a ceremony's folder: roles.json with the public keys that are the hub's\n" +
			"own, and places for those of the holders; plain/ with lists to fill in, and with\n" +
			"the hub's receipt key and CA. Edit names and thresholds in roles.json: a role\n" +
			"with one key is one theft away from another's.",
		Example: `hub publish roles ceremony`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.configOf(c)
			if err != nil {
				return err
			}
			keys, err := hub.LoadKeys(cfg.path(dirKeys), hub.KeyOptions{Now: a.now})
			if err != nil {
				return faultf("keys: %w", err)
			}
			if err := beginCeremony(args[0], keys, a.now()); err != nil {
				return faultf("publish roles: %w", err)
			}
			_, err = fmt.Fprintf(a.out, "%s is begun: put the holders' public keys beside roles.json, fill in plain/, then: hub publish draft root %s\n", oneLine(args[0]), oneLine(args[0]))
			return err
		},
	}
	dirFlag(c, a)
	return c
}

// holders is how many holders the template has a place for in a role, and how
// many of them must sign.
var holders = []struct {
	role, name      string
	keys, threshold int
}{
	{tuf.RoleRoot, "root", 3, 2}, {tuf.RoleTargets, "targets", 3, 2}, {tuf.RoleDayKeys, "custodian", 3, 2}, {tuf.RoleRevoked, "revoked", 2, 1},
}

// rolesTemplate is roles.json with the hub's own keys, and with names of files
// for the holders'.
func rolesTemplate(keys *hub.Keys) tuf.Roles {
	r := tuf.Roles{Form: tuf.RolesForm}
	for _, h := range holders {
		f := tuf.RoleFile{Threshold: h.threshold}
		for n := 1; n <= h.keys; n++ {
			name := fmt.Sprintf("%s-%d", h.name, n)
			f.Keys = append(f.Keys, tuf.RoleOwner{Name: name, PEM: name + ".pem"})
		}
		switch h.role {
		case tuf.RoleRoot:
			r.Root = f
		case tuf.RoleTargets:
			r.Targets = f
		case tuf.RoleDayKeys:
			r.DayKeys = f
		case tuf.RoleRevoked:
			r.Revoked = f
		}
	}
	own := func(key ed25519.PrivateKey) tuf.RoleFile {
		public, _ := key.Public().(ed25519.PublicKey)
		return tuf.RoleFile{Threshold: 1, Keys: []tuf.RoleOwner{{Name: "hub", Key: hex.EncodeToString(public)}}}
	}
	r.Snapshot, r.Timestamp = own(keys.Snapshot), own(keys.Timestamp)
	return r
}

// plainTemplate are lists that are in order and empty, to be filled in.
var plainTemplate = map[string]string{
	"issuers.json":           "{\n  \"keys\": []\n}\n",
	"policy.json":            "{\n  \"rules\": [\n    {\"from\": \"2020-01-01T00:00:00Z\", \"venue\": \"any\", \"formats\": [\"native\", \"dcc\"]}\n  ]\n}\n",
	"daykeys.json":           "{\n  \"keys\": []\n}\n",
	"revoked/superseded.txt": "",
	"revoked/withdrawn.txt":  "",
}

// beginCeremony fills a new folder.
func beginCeremony(dir string, keys *hub.Keys, now time.Time) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(rolesTemplate(keys), "", "  ")
	if err != nil {
		return err
	}
	files := map[string][]byte{fileRoles: append(text, '\n')}
	for name, text := range plainTemplate {
		files[filepath.Join(dirPlain, name)] = []byte(text)
	}
	targets, err := keys.TrustTargets(now)
	if err != nil {
		return err
	}
	for name, b := range targets {
		files[filepath.Join(dirPlain, name)] = b
	}
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := writeNew(path, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// goodFor is how long what a role signs holds when nothing else is said.
var goodFor = map[string]time.Duration{tuf.RoleRoot: tuf.RootFor, tuf.RoleTargets: tuf.TargetsFor, tuf.RoleDayKeys: tuf.DayKeysFor, tuf.RoleRevoked: tuf.RevokedFor}

func newPublishDraftCommand(a *app) *cobra.Command {
	var expires int
	c := &cobra.Command{
		Use:   "draft ROLE FOLDER",
		Short: "Write what the holders of a role are to sign",
		Long: "Write what the holders of a role are to sign, out of roles.json and plain/ in\n" +
			"the ceremony's folder. ROLE is one of these; each needs the one before it signed:\n\n" +
			"  root      roles.json: whose keys count\n" +
			"  targets   issuers, policy, foreign keys, the hub's keys\n" +
			"  daykeys   headquarters' day keys, and which are destroyed\n" +
			"  revoked   codes that no longer hold\n\n" +
			"A draft that is there is replaced: its signatures are of what it said.",
		Example: `hub publish draft targets ceremony`,
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if !slices.Contains(offlineRoles, args[0]) {
				return usagef("publish draft: want %s; have %q", strings.Join(offlineRoles, ", "), args[0])
			}
			if expires < 0 || expires > 3660 {
				return usagef("--days: want 1 to 3660")
			}
			return a.draft(args[0], args[1], expires)
		},
	}
	c.Flags().IntVar(&expires, "days", 0, "how long it holds (default root 365, targets 90, daykeys 35, revoked 7)")
	return c
}

func (a *app) draft(role, dir string, expires int) error {
	repo, err := readRepo(dir)
	if err != nil {
		return faultf("publish draft: %w", err)
	}
	now := a.now().UTC().Truncate(time.Second)
	until := now.AddDate(0, 0, expires)
	if expires == 0 {
		until = now.Add(goodFor[role])
	}
	plain := os.DirFS(filepath.Join(dir, dirPlain))
	var d *tuf.Draft
	switch role {
	case tuf.RoleRoot, tuf.RoleTargets:
		roles, e := tuf.ReadRoles(os.DirFS(dir), fileRoles)
		if e != nil {
			return faultf("publish draft: %w", e)
		}
		for _, word := range roles.Weak() {
			fmt.Fprintf(a.err, "hub: %s\n", oneLine(word))
		}
		if role == tuf.RoleRoot {
			d, err = tuf.NewRoot(roles, repo, now, until)
		} else {
			d, err = tuf.BuildTargets(plain, roles, repo, now, until)
		}
	default:
		d, err = tuf.BuildDelegated(role, plain, repo, now, until)
	}
	if err != nil {
		return faultf("publish draft %s: %w", role, err)
	}
	if err := writeDraft(dir, role, d); err != nil {
		return faultf("publish draft %s: %w", role, err)
	}
	path := draftPath(dir, role)
	for _, change := range d.Status.Changes {
		fmt.Fprintf(a.out, "%s\n", oneLine(change))
	}
	_, err = fmt.Fprintf(a.out, "%s holds until %s; now its holders sign: hub publish sign %s --key FILE\n", oneLine(path), until.Format(time.RFC3339), oneLine(path))
	return err
}

func draftPath(dir, role string) string { return filepath.Join(dir, dirDrafts, role+draftEnd) }

func writeDraft(dir, role string, d *tuf.Draft) error {
	if err := dropDraft(dir, role); err != nil {
		return err
	}
	files := filepath.Join(dir, dirDrafts, role+draftFiles)
	if err := os.MkdirAll(files, 0o755); err != nil {
		return err
	}
	if err := tuf.WriteFolder(files, d.Files); err != nil {
		return err
	}
	return replaceFile(draftPath(dir, role), d.Metadata)
}

func dropDraft(dir, role string) error {
	if err := os.Remove(draftPath(dir, role)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(filepath.Join(dir, dirDrafts, role+draftFiles))
}

// replaceFile writes a file whole or not at all, over one that is there.
func replaceFile(path string, data []byte) error {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeNew(part, data, 0o644); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// readRepo reads what is signed in a ceremony's folder; nothing, when nothing is.
func readRepo(dir string) ([]tuf.File, error) {
	path := filepath.Join(dir, dirRepo)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return tuf.ReadFolder(os.DirFS(path))
}

// maxDraft bounds a draft's metadata.
const maxDraft = tuf.MaxTargets

func newPublishSignCommand(a *app) *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "sign FILE --key KEY",
		Short: "Add a holder's signature to a draft",
		Long: "Add a holder's signature to a draft, on the holder's own machine. It says first\n" +
			"what changes against what was signed before: read it. With the last signature\n" +
			"that the role needs, the draft goes into repository/ under its final name.",
		Example: `hub publish sign ceremony/drafts/root.json --key root-1.key`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return a.sign(args[0], key) },
	}
	c.Flags().StringVar(&key, "key", "", "the holder's private key, as hub publish key made it")
	if err := c.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag was made in the line above
	}
	return c
}

// maxKey bounds a key file; one holds some 120 bytes.
const maxKey = 4 << 10

func (a *app) sign(path, keyPath string) error {
	role, isDraft := strings.CutSuffix(filepath.Base(path), draftEnd)
	dir := filepath.Dir(filepath.Dir(path))
	if !isDraft || !slices.Contains(offlineRoles, role) || filepath.Base(filepath.Dir(path)) != dirDrafts {
		return usagef("publish sign: want FOLDER/drafts/ROLE.json, as hub publish draft made it")
	}
	metadata, err := readBounded(path, maxDraft)
	if err != nil {
		return faultf("publish sign: %w", err)
	}
	text, err := readBounded(keyPath, maxKey)
	if err != nil {
		return faultf("--key: %w", err)
	}
	if info, err := os.Stat(keyPath); err != nil || info.Mode().Perm()&0o077 != 0 {
		return faultf("--key: %s can be read by others: chmod 600 it first", keyPath)
	}
	key, err := tuf.ParseKey(text)
	if err != nil {
		return faultf("--key: %s: %w", keyPath, err)
	}
	repo, err := readRepo(dir)
	if err != nil {
		return faultf("publish sign: %w", err)
	}
	files, err := tuf.ReadFolder(os.DirFS(filepath.Join(dir, dirDrafts, role+draftFiles)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return faultf("publish sign: %w", err)
	}
	all := slices.Concat(repo, files)
	signed, status, err := tuf.AddSignature(metadata, key, all)
	if err != nil {
		return refusedf("publish sign: %w", err)
	}
	if err := a.printStatus(status, true); err != nil {
		return err
	}
	if err := replaceFile(path, signed); err != nil {
		return faultf("publish sign: %w", err)
	}
	if !status.Complete {
		return nil
	}
	final, err := tuf.Finish(signed, all)
	if err != nil {
		return refusedf("publish sign: %w", err)
	}
	repoDir := filepath.Join(dir, dirRepo)
	if err := os.MkdirAll(repoDir, 0o755); err != nil {
		return faultf("publish sign: %w", err)
	}
	if err := tuf.WriteFolder(repoDir, append(files, final)); err != nil {
		return faultf("publish sign: %w", err)
	}
	if err := dropDraft(dir, role); err != nil {
		return faultf("publish sign: %w", err)
	}
	_, err = fmt.Fprintf(a.out, "%s is signed: %s\n", role, oneLine(filepath.Join(repoDir, final.Name)))
	return err
}

// printStatus says who has signed what, and what is missing.
func (a *app) printStatus(s *tuf.Status, changes bool) error {
	var b strings.Builder
	if changes {
		for _, change := range s.Changes {
			fmt.Fprintf(&b, "  %s\n", oneLine(change))
		}
	}
	fmt.Fprintf(&b, "%s, version %d, until %s: signed by %s", s.Role, s.Version, s.Expires.UTC().Format(time.RFC3339), nobodyOr(s.Signed))
	if !s.Complete {
		fmt.Fprintf(&b, "; %s: %s", oneLine(strings.Join(s.Needs, ", ")), nobodyOr(s.Missing))
	}
	_, err := fmt.Fprintln(a.out, b.String())
	return err
}

func nobodyOr(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return oneLine(strings.Join(names, ", "))
}

func newPublishCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check FOLDER",
		Short: "Say what is signed in a ceremony's folder, and what is not",
		Long: "Say what is signed in a ceremony's folder, by whom, and until when; and of each\n" +
			"draft what changes, who has signed and who has not.\n\n" +
			"Exit status: 0 all four roles are signed and no draft waits; 4 something is\n" +
			"missing.",
		Example: `hub publish check ceremony`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return a.checkFolder(args[0]) },
	}
}

func (a *app) checkFolder(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, fileRoles)); err != nil {
		return faultf("publish check: %s is no ceremony's folder: %w", dir, err)
	}
	repo, err := readRepo(dir)
	if err != nil {
		return faultf("publish check: %w", err)
	}
	var missing []string
	for _, role := range offlineRoles {
		if newest := newestOf(repo, role); newest != nil {
			status, err := tuf.Check(newest.Bytes, repo)
			if err != nil {
				return refusedf("publish check: %s: %w", newest.Name, err)
			}
			if err := a.printStatus(status, false); err != nil {
				return err
			}
		} else {
			missing = append(missing, role)
		}
	}
	for _, role := range offlineRoles {
		metadata, err := readBounded(draftPath(dir, role), maxDraft)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return faultf("publish check: %w", err)
		}
		files, err := tuf.ReadFolder(os.DirFS(filepath.Join(dir, dirDrafts, role+draftFiles)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return faultf("publish check: %w", err)
		}
		status, err := tuf.Check(metadata, slices.Concat(repo, files))
		if err != nil {
			return refusedf("publish check: draft of %s: %w", role, err)
		}
		fmt.Fprint(a.out, "draft: ")
		if err := a.printStatus(status, true); err != nil {
			return err
		}
		missing = append(missing, role+" (draft)")
	}
	if len(missing) > 0 {
		return refusedf("publish check: not signed: %s", strings.Join(missing, ", "))
	}
	return nil
}

// newestOf is the newest metadata of a role; nil: there is none.
func newestOf(repo []tuf.File, role string) *tuf.File {
	var newest *tuf.File
	var most uint64
	for i, f := range repo {
		var version uint64
		if n, err := fmt.Sscanf(f.Name, "%d."+role+".json", &version); n == 1 && err == nil && version >= most {
			newest, most = &repo[i], version
		}
	}
	return newest
}

func newPublishPushCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "push FOLDER",
		Short: "Bring what is signed to this hub; gates take it within minutes",
		Long: "Bring what is signed to this hub. It looks at all of it as a gate would, signs\n" +
			"snapshot and timestamp, and takes it whole or not at all. A role that has not\n" +
			"changed need not be there: revocations can be pushed alone.\n\n" +
			"Exit status: 4 when a gate would refuse it; the hub keeps what it had.",
		Example: `hub publish push ceremony`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withHub(c, func(ctx context.Context, at *office) error { return a.push(ctx, at, args[0]) })
		},
	}
	hereFlags(c, a)
	return c
}

// repoOf reads the repository in a ceremony's folder, or a folder that is one.
func repoOf(dir string) ([]tuf.File, error) {
	files, err := readRepo(dir)
	if err != nil || len(files) > 0 {
		return files, err
	}
	files, err = tuf.ReadFolder(os.DirFS(dir))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s holds nothing that is signed", dir)
	}
	return files, err
}

func (a *app) push(ctx context.Context, at *office, dir string) error {
	files, err := repoOf(dir)
	if err != nil {
		return faultf("publish push: %w", err)
	}
	var there struct {
		Files []string `json:"files"`
	}
	if err := at.ask(ctx, http.MethodGet, pathTrust, nil, &there); err != nil {
		return err
	}
	var p pushed
	for _, f := range files {
		if !slices.Contains(there.Files, f.Name) && f.Name != "timestamp.json" && !strings.HasSuffix(f.Name, ".snapshot.json") {
			p.Files = append(p.Files, pushedFile{f.Name, f.Bytes})
		}
	}
	if len(p.Files) == 0 {
		_, err := fmt.Fprintln(a.out, "the hub has all of it")
		return err
	}
	if err := at.ask(ctx, http.MethodPost, pathTrust, p, nil); err != nil {
		return err
	}
	for _, f := range p.Files {
		if _, err := fmt.Fprintf(a.out, "published %s\n", f.Name); err != nil {
			return err
		}
	}
	return nil
}

func newPublishPullCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "pull FOLDER",
		Short:   "Fetch what this hub has published into a ceremony's folder",
		Example: `hub publish pull ceremony`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withHub(c, func(ctx context.Context, at *office) error {
				var files []tuf.File
				for f, err := range at.trust(ctx) {
					if err != nil {
						return err
					}
					files = append(files, f)
				}
				dir := filepath.Join(args[0], dirRepo)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return faultf("publish pull: %w", err)
				}
				if err := tuf.WriteFolder(dir, files); err != nil {
					return faultf("publish pull: %w", err)
				}
				_, err := fmt.Fprintf(a.out, "%d files in %s\n", len(files), oneLine(dir))
				return err
			})
		},
	}
	hereFlags(c, a)
	return c
}

// trust yields the files of the hub's repository.
func (o *office) trust(ctx context.Context) func(yield func(tuf.File, error) bool) {
	return func(yield func(tuf.File, error) bool) {
		var there struct {
			Files []string `json:"files"`
		}
		if err := o.ask(ctx, http.MethodGet, pathTrust, nil, &there); err != nil {
			yield(tuf.File{}, err)
			return
		}
		for _, name := range there.Files {
			f := tuf.File{Name: name}
			response, err := o.send(ctx, http.MethodGet, enroll.PathTrust+name, "", nil)
			if err == nil {
				f.Bytes, err = io.ReadAll(io.LimitReader(response.Body, tuf.MaxTotal))
				response.Body.Close()
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func newPublishShowCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "show",
		Short:   "Say what gates trust now: who signed it, until when, and what is due",
		Example: `hub publish show`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c, a.showTrust)
		},
	}
	officeFlags(c, a)
	return c
}

func (a *app) showTrust(ctx context.Context, at *office) error {
	var t struct {
		Refused string `json:"refused"`
		Roles   []struct {
			Role    string     `json:"role"`
			Version int64      `json:"version"`
			Issued  *time.Time `json:"issued"`
			Expires *time.Time `json:"expires"`
			Signed  []string   `json:"signed"`
		} `json:"roles"`
		Lists []struct {
			List    string     `json:"list"`
			Issued  *time.Time `json:"issued"`
			Entries int        `json:"entries"`
		} `json:"lists"`
		Due []struct {
			Text string `json:"text"`
		} `json:"due"`
	}
	if err := at.ask(ctx, http.MethodGet, pathAdmin+"trust", nil, &t); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tVERSION\tISSUED\tUNTIL\tSIGNED BY")
	for _, r := range t.Roles {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", oneLine(r.Role), r.Version, when(r.Issued), when(r.Expires), oneLine(strings.Join(r.Signed, ", ")))
	}
	fmt.Fprintln(w, "\nLIST\tENTRIES\tISSUED")
	for _, l := range t.Lists {
		fmt.Fprintf(w, "%s\t%d\t%s\n", oneLine(l.List), l.Entries, when(l.Issued))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, d := range t.Due {
		if _, err := fmt.Fprintf(a.out, "due: %s\n", oneLine(d.Text)); err != nil {
			return err
		}
	}
	if t.Refused != "" {
		return refusedf("no gate takes what is published: %s", t.Refused)
	}
	return nil
}
