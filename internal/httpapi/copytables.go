package httpapi

import (
	"bufio"
	"context"
	"encoding/csv"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// GetCopyReportCSV sends what is not exactly at the target, as a table.
func (s *server) GetCopyReportCSV(ctx context.Context,
	r api.GetCopyReportCSVRequestObject,
) (api.GetCopyReportCSVResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	report, err := copies.Report(ctx, caller(ctx).Owner, transfer.ID(r.Id))
	if err != nil {
		return nil, err
	}
	return copyTable{s, ctx, "report-" + r.Id, func(out io.Writer) error {
		return WriteCopyReport(ctx, out, copies, report.Copy, s.explainer(ctx), languageOf(ctx))
	}}, nil
}

// GetCopyManifest sends every message of a copy, as a table.
func (s *server) GetCopyManifest(ctx context.Context,
	r api.GetCopyManifestRequestObject,
) (api.GetCopyManifestResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	c, err := copies.Copy(ctx, caller(ctx).Owner, transfer.ID(r.Id))
	if err != nil {
		return nil, err
	}
	return copyTable{s, ctx, "manifest-" + r.Id, func(out io.Writer) error {
		columns := []string{
			"folder", "target_folder", "message", "target_uid", "received_at", "size", "sha256", "state",
		}
		return writeMessages(ctx, out, copies, c, columns, nil, manifestRow)
	}}, nil
}

// copyTable is a table of a copy's messages, which is sent while it is read.
type copyTable struct {
	*server
	ctx   context.Context // Of the request: the generated interface has no parameter for it.
	name  string
	write func(io.Writer) error
}

// VisitGetCopyReportCSVResponse sends the table.
func (t copyTable) VisitGetCopyReportCSVResponse(w http.ResponseWriter) error { return t.send(w) }

// VisitGetCopyManifestResponse sends the table.
func (t copyTable) VisitGetCopyManifestResponse(w http.ResponseWriter) error { return t.send(w) }

func (t copyTable) send(w http.ResponseWriter) error {
	return t.sendLong(t.ctx, w, "text/csv; charset=utf-8", t.name+".csv", t.write)
}

// WriteCopyReport writes what of a copy is not exactly at the target, as the table report.csv of the contract.
func WriteCopyReport(ctx context.Context, out io.Writer, copies transfer.Service, c transfer.Copy, explain Explainer,
	lang words.Language,
) error {
	columns := []string{
		"folder", "target_folder", "message", "target_uid", "received_at", "size", "state", "code", "reason", "sender",
		"subject",
	}
	states := []transfer.MessageState{
		transfer.MessageSkipped, transfer.MessageMissing, transfer.MessageAltered, transfer.MessageMovedOrDeleted,
	}
	return writeMessages(ctx, out, copies, c, columns, states, func(m transfer.Message) []string {
		return reportRow(m, whyNot(m, c, explain, lang))
	})
}

// writeMessages writes a row for each of a copy's messages in one of the states, or for all; none is held.
func writeMessages(ctx context.Context, out io.Writer, copies transfer.Service, c transfer.Copy, columns []string,
	states []transfer.MessageState, row func(transfer.Message) []string,
) error {
	table := csv.NewWriter(out)
	table.UseCRLF = true // RFC 4180.
	if err := table.Write(columns); err != nil {
		return err
	}
	err := copies.EachMessage(ctx, c.Owner, c.ID, states, func(m transfer.Message) error { return table.Write(row(m)) })
	if err != nil {
		return err
	}
	table.Flush()
	return table.Error()
}

func reportRow(m transfer.Message, why *api.Diagnosis) []string {
	code, reason := "", ""
	if why != nil {
		code, reason = string(why.Code), strings.TrimSpace(why.Title+". "+why.Detail)
	}
	return []string{
		cell(m.Folder), cell(m.Target), cell(messageName(m)), uidCell(m), timeCell(m.Received),
		strconv.FormatInt(m.Size, 10), string(m.State), code, cell(reason), cell(words.Clean(m.About.Sender, mostAbout)),
		cell(words.Clean(m.About.Subject, mostAbout)),
	}
}

func manifestRow(m transfer.Message) []string {
	return []string{
		cell(m.Folder), cell(m.Target), cell(messageName(m)), uidCell(m), timeCell(m.Received),
		strconv.FormatInt(m.Size, 10), messageDigest(m), string(m.State),
	}
}

// cell is a text of others as a table may have it: one that a spreadsheet would take for a formula, and run, begins
// with an apostrophe. So does one that begins with an apostrophe, so that what was added can be told from what was
// there.
func cell(text string) string {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(text, " "))
	if text != "" && strings.ContainsRune("=+-@\t\r\n'＝＋－＠", first) {
		return "'" + text
	}
	return text
}

// uidCell is empty where the target has not the message, or did not say where.
func uidCell(m transfer.Message) string {
	if m.TargetUID == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(m.TargetUID), 10)
}

func timeCell(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// sendLong sends a file that is written while it is read, to a reader who may be slow. What fails before its first
// octets were sent is a problem like any other; after that the connection is broken off, so that nobody takes a part
// for the whole.
func (s *server) sendLong(ctx context.Context, w http.ResponseWriter, media, file string,
	write func(io.Writer) error,
) error {
	sent := &patient{w: w, to: http.NewResponseController(w)}
	sent.begin = func() {
		h := w.Header()
		h.Set("Content-Type", media)
		h.Set("Content-Disposition", `attachment; filename="mailbrook-`+file+`"`)
		w.WriteHeader(http.StatusOK)
	}
	out := bufio.NewWriterSize(sent, exportAtOnce)
	err := write(out)
	if err == nil {
		err = out.Flush()
	}
	if err == nil || !sent.begun {
		return err
	}
	if ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "a file was broken off while it was sent", "file", file, "error", err)
	}
	panic(http.ErrAbortHandler)
}
