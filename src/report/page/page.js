// One page, twice: what the reader sees, and, in a hidden frame of it, the same file as it is by now,
// which only tells its numbers to the page around it. So the page stays where it is while it is read,
// from a file as well as from a server.
(() => {
  const text = document.getElementById("data").textContent;
  if (window.parent !== window && location.hash === "#numbers") {
    window.parent.postMessage(text, "*");
    return;
  }
  const STALE = 30;
  let run = JSON.parse(text);
  let charts = [];
  // When the page has seen another version of itself, by its own clock.
  let changed = null;

  // -- elements; what others have written is never anything but text

  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value !== null) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  };
  const at = (id) => document.getElementById(id);
  const fill = (id, ...children) => at(id).replaceChildren(...children.filter((child) => child !== null));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const show = (id, is_shown) => {
    at(id).hidden = !is_shown;
  };

  const table = (heads, rows) =>
    make("table", null,
      make("thead", null, make("tr", null,
        ...heads.map((head) => make("th", { scope: "col", class: head.text ? "text" : null }, head.name)))),
      make("tbody", null, ...rows.map((row) => make("tr", null,
        ...row.map((cell, column) =>
          make("td", { class: heads[column].text ? "text " + (heads[column].long || "") : null }, cell))))));

  // -- the verdict

  const is_stale = () => {
    if (run.ended !== null) return false;
    const now = Date.now() / 1000;
    // A clock that differs from that of the other machine is no proof: only what is seen here is.
    return now - (changed === null ? run.written : changed) > STALE;
  };

  const verdict = () => {
    const element = at("verdict");
    let kind, mark, words;
    if (run.ended !== null) {
      kind = run.status === 0 ? "good" : "bad";
      mark = run.status === 0 ? "✓ ended" : "✗ ended";
      words = run.verdict;
    } else if (is_stale()) {
      kind = "bad";
      mark = "? gone";
      words = "not rewritten for " + STALE + GAP + "s (last at " + time(run.written) +
        "): the run was killed or stopped, or its files cannot be written";
    } else {
      kind = "live";
      mark = "▶ running";
      words = run.verdict;
    }
    if (element.dataset.words !== mark + words) {
      element.dataset.words = mark + words;
      element.className = "verdict " + kind;
      element.replaceChildren(make("b", null, mark), make("span", null, words));
    }
  };

  const tile = (name, value, note) =>
    make("div", null, make("dt", null, name), make("dd", null, value, note ? make("small", null, note) : null));

  const tiles = () => {
    const records = run.records;
    const total = records.total;
    const of = total === null ? null : "of " + whole(total) + ", " + percent(total ? records.done / total : 1);
    const share = records.done ? percent(records.failed / records.done) : null;
    const results = records.results !== records.done - records.failed ? plural(records.results, "result", "results") : null;
    fill("tiles",
      tile("Records done", whole(records.done), of || results),
      tile("Failed", whole(records.failed), records.failed ? share : "none"),
      tile(run.ended === null ? "Rate of late" : "Rate", rate(run.rate), null),
      tile("Time", duration(run.elapsed), run.left === null ? null : "about " + duration(run.left) + " left"),
      tile("Per record", duration(run.latency.p50), "p95 " + duration(run.latency.p95) + ", p99 " + duration(run.latency.p99)),
      tile("Workers", whole(run.workers), records.restarts ? plural(records.restarts, "restart", "restarts") : "no restart"),
      run.ended === null ? tile("Under way", whole(records.in_flight), whole(records.waiting) + " waiting") : null);
    const bar = at("bar");
    bar.hidden = total === null;
    if (total !== null) {
      bar.max = total || 1;
      bar.value = total ? records.done : 1;
    }
    fill("hint", run.hint === null ? "" : run.hint);
  };

  // -- charts over time

  const times = () => run.done.map((_, number) => run.first + number * run.step);
  const per_second = (counts) =>
    counts.map((count, number) => {
      const is_last = number === counts.length - 1 && run.last > 0;
      return count / (is_last ? Math.max(run.last, run.step / 4) : run.step);
    });

  const axis = (values, size, more) => ({
    ...more, stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") },
    font: "12px system-ui, sans-serif", size, values,
  });
  const zone = () => new Intl.DateTimeFormat([], { timeZoneName: "short" }).formatToParts(new Date())
    .find((part) => part.type === "timeZoneName").value;

  const span = () => run.step * run.done.length;
  const is_long = () => span() > 86400;
  // As much of the time as tells two ticks apart.
  const tick = (at) => clock(at, {
    ...(is_long() ? { month: "short", day: "numeric" } : {}),
    hour: "2-digit", minute: "2-digit", second: span() < 600 ? "2-digit" : undefined,
    fractionalSecondDigits: span() < 10 ? 1 : undefined, hourCycle: "h23",
  });

  const chart = (id, series, y, scale) => {
    const place = at(id);
    const width = () => Math.max(200, place.clientWidth - 8);
    const labels = series.map((one) => ({
      label: one.name, stroke: colour(one.colour), width: 1.75, dash: one.dash, points: { show: run.done.length < 3 },
      value: (_, value) => (value === null || value === undefined ? NONE : y(value)),
    }));
    const plot = new uPlot({
      width: width(), height: 190,
      series: [{ label: "Time (" + zone() + ")", value: (_, at) => (at === null ? NONE : is_long() ? moment(at) : time(at)) }, ...labels],
      axes: [
        axis((_, splits) => splits.map(tick), 34, { space: 110 }),
        axis((_, splits) => splits.map((value) => (value === null ? "" : y(value))), 76,
          y === bytes ? { incrs: Array.from({ length: 50 }, (_, power) => 2 ** power) } : {}),
      ],
      scales: { x: { time: true }, y: scale },
      cursor: { drag: { x: false, y: false } }, legend: { live: true },
    }, [times(), ...series.map((one) => one.data())], place);
    const update = () => plot.setData([times(), ...series.map((one) => one.data())]);
    place.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
      if (step === undefined || !run.done.length) return;
      event.preventDefault();
      const before = plot.cursor.idx === null || plot.cursor.idx === undefined ? run.done.length : plot.cursor.idx;
      const to = Math.min(run.done.length - 1, Math.max(0, before + step));
      const value = plot.data.slice(1).map((data) => data[to]).find((one) => one !== null && one !== undefined);
      plot.setCursor({ left: plot.valToPos(plot.data[0][to], "x"), top: value === undefined ? 0 : plot.valToPos(value, "y") });
    };
    return { plot, update, fit: () => plot.setSize({ width: width(), height: 190 }) };
  };

  const from_zero = { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] };
  const draw_charts = () => {
    charts.forEach((one) => one.plot.destroy());
    charts = [
      chart("throughput", [
        { name: "Records/s", colour: "--work", data: () => per_second(run.done) },
        { name: "Failures/s", colour: "--bad", dash: [6, 4], data: () => per_second(run.failed) },
      ], rate, from_zero),
      chart("latency", [
        { name: "p50", colour: "--p50", data: () => run.p50 },
        { name: "p95", colour: "--p95", dash: [8, 4], data: () => run.p95 },
        { name: "p99", colour: "--p99", dash: [2, 3], data: () => run.p99 },
      ], duration, from_zero),
      chart("held", [
        { name: "Held of --buffer", colour: "--held", data: () => run.held },
      ], bytes, from_zero),
    ];
    window.charts = charts.map((one) => one.plot);
  };

  // -- lanes

  const STATES = {
    w: { name: "working", colour: "--work" },
    s: { name: "starting", colour: "--start" },
    i: { name: "waiting", colour: "--wait" },
    h: { name: "held back", colour: "--held" },
    x: { name: "exiting or absent", colour: "--line" },
  };
  // Height and pattern tell states apart where colours do not.
  const cell = (context, state, share, x, y, width, height) => {
    const paint = (part, from, to) => {
      context.fillRect(x, y + height * (1 - to), width, height * (to - from));
    };
    context.fillStyle = colour(STATES[state].colour);
    const rest = 1 - share;
    if (state === "s") {
      for (let line = 0; line < height * rest; line += 3) context.fillRect(x, y + line, width, 1.5);
    } else if (state === "i") {
      context.fillRect(x, y + height * rest * 0.5, width, 1.5);
    } else if (state === "h") {
      context.fillRect(x, y + height * rest * 0.25, width, height * rest * 0.5);
    }
    if (share > 0) {
      context.fillStyle = colour("--work");
      paint(null, 0, share);
    }
  };
  const LANE = () => (run.lanes.length > 16 ? 9 : 16);
  const draw_lanes = () => {
    const canvas = at("lanes-canvas");
    const height = LANE();
    const gap = run.lanes.length > 16 ? 2 : 4;
    const label = 58;
    const width = canvas.parentElement.clientWidth - 16;
    const ratio = window.devicePixelRatio || 1;
    const all = run.lanes.length * (height + gap) + 4;
    canvas.width = Math.max(1, width * ratio);
    canvas.height = Math.max(1, all * ratio);
    canvas.style.height = all + "px";
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.clearRect(0, 0, width, all);
    context.font = (height > 10 ? 12 : 9) + "px system-ui, sans-serif";
    context.textBaseline = "middle";
    const count = Math.max(1, run.done.length);
    const step = (width - label) / count;
    run.lanes.forEach((lane, number) => {
      const y = number * (height + gap);
      context.fillStyle = colour("--soft");
      context.textAlign = "right";
      context.fillText(lane.name, label - 8, y + height / 2);
      for (let interval = 0; interval < lane.state.length; interval += 1) {
        const share = Number(lane.share[interval]) / 9;
        // Whole pixels, so that no seam is between two intervals.
        const from = Math.round((label + interval * step) * ratio) / ratio;
        const to = Math.round((label + (interval + 1) * step) * ratio) / ratio;
        cell(context, lane.state[interval], share, from, y, to - from, height);
      }
      context.fillStyle = colour("--bad");
      for (const interval of lane.restarts) {
        const x = label + (interval + 0.5) * step;
        context.beginPath();
        context.moveTo(x, y);
        context.lineTo(x + 4, y + height);
        context.lineTo(x - 4, y + height);
        context.fill();
      }
    });
  };
  const say_lane = (interval, number) => {
    const lane = run.lanes[number];
    if (!lane || interval < 0 || interval >= lane.state.length) return;
    const share = Number(lane.share[interval]) / 9;
    const rest = STATES[lane.state[interval]].name;
    const restarts = lane.restarts.filter((one) => one === interval).length;
    const from = run.first + interval * run.step;
    fill("lane-says", lane.title + ", " + time(from) + ": working " + percent(share) + " of the time" +
      (share < 0.95 && rest !== "working" ? ", else mostly " + rest : "") + (restarts ? ", restarted" : ""));
  };
  const point = { interval: 0, lane: 0 };
  const follow_lanes = () => {
    const lanes = at("lanes");
    const canvas = at("lanes-canvas");
    canvas.onmousemove = (event) => {
      const place = canvas.getBoundingClientRect();
      const pitch = LANE() + (run.lanes.length > 16 ? 2 : 4);
      const step = (place.width - 58) / Math.max(1, run.done.length);
      say_lane(Math.floor((event.clientX - place.left - 58) / step), Math.floor((event.clientY - place.top) / pitch));
    };
    lanes.onkeydown = (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      point.interval = Math.min(run.done.length - 1, Math.max(0, point.interval + move[0]));
      point.lane = Math.min(run.lanes.length - 1, Math.max(0, point.lane + move[1]));
      say_lane(point.interval, point.lane);
    };
    const key = Object.entries(STATES).map(([state, { name }]) => {
      const sample = make("canvas", { width: 28, height: 14, "aria-hidden": "true", "data-state": state });
      return make("li", null, sample, name);
    });
    fill("lane-key", ...key, make("li", null, "▲ restart"));
  };
  const draw_key = () => {
    for (const sample of document.querySelectorAll("#lane-key canvas")) {
      const context = sample.getContext("2d");
      context.clearRect(0, 0, 28, 14);
      const state = sample.dataset.state;
      cell(context, state, state === "w" ? 1 : 0, 0, 0, 28, 14);
    }
  };

  // -- tables

  const workers = () => {
    const number = (name) => ({ name });
    const heads = [{ name: run.grouped ? "Workers" : "Worker", text: true }, number("Records"), number("Failed"),
      number("Processes"), number("Starting"), number("Waiting"), number("Working"), number("Exiting"),
      number("Absent"), number("Peak memory")];
    fill("workers", table(heads, run.rows.map((row) => [row.name, whole(row.records), whole(row.failed), whole(row.processes),
      ...row.seconds.map(duration), bytes(row.peak)])));
  };
  const slowest = () => {
    show("slowest-part", run.slowest.length > 0);
    const heads = [{ name: "Time" }, { name: "Record" }, { name: "Worker" }, { name: "Bytes" },
      { name: "Beginning of the record", text: true, long: "long" }];
    fill("slowest", table(heads, run.slowest.map((one) =>
      [duration(one.seconds), whole(one.index), whole(one.worker), whole(one.bytes), one.input])));
  };

  const command = (words) => {
    const copy = make("button", { type: "button" }, "Copy");
    copy.onclick = async () => {
      try {
        await navigator.clipboard.writeText(words);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(copy.previousElementSibling);
        copy.textContent = "Selected";
      }
    };
    return make("div", null, make("pre", { tabindex: "0" }, words), copy);
  };
  const again = (kind) => {
    const words = run.again[kind];
    if (words === undefined) {
      return [make("p", { class: "soft" }, "Where error records go to a file with their records (--errors FILE), this is the place of the command that runs these again.")];
    }
    return [make("p", null, "To run these again, from the error records of this kind:"), command(words)];
  };
  const opened = new Set();
  const failures = () => {
    show("failures-none", run.failures.length === 0);
    if (run.retry !== null && run.failures.length > 0 && !at("retry").childElementCount) {
      fill("retry", make("p", null, "To try all that failed again, in its place:"), command(run.retry));
    }
    const shown = new Map([...at("failures").children].map((element) => [element.dataset.key, element]));
    const elements = run.failures.map((group) => {
      const key = group.kind + "\n" + group.message;
      const words = JSON.stringify(group);
      const before = shown.get(key);
      // What has not changed stays as it is, and so does what is marked or in focus there.
      if (before && before.dataset.words === words) return before;
      const summary = make("summary", null, make("span", { class: "count" }, whole(group.count) + " × "),
        make("span", { class: "kind" }, group.kind), group.message ? ": " + group.message : "");
      const example = group.example;
      const who = example.worker === null ? "never sent to a worker"
        : "worker " + example.worker + ", " + plural(example.attempts, "attempt", "attempts");
      const inside = make("div", { class: "inside" },
        make("p", null, "For example record " + whole(example.index) + " (" + who + "):"),
        make("pre", { tabindex: "0" }, example.message),
        ...again(group.kind));
      const details = make("details", { "data-key": key, "data-words": words, open: opened.has(key) ? "" : null }, summary, inside);
      details.ontoggle = () => {
        opened[details.open ? "add" : "delete"](key);
        remember();
      };
      if (before && before.contains(document.activeElement)) queueMicrotask(() => summary.focus());
      return details;
    });
    const list = at("failures");
    if (elements.length !== list.children.length || elements.some((element, number) => element !== list.children[number])) {
      const focus = document.activeElement;
      list.replaceChildren(...elements);
      if (list.contains(focus)) focus.focus();
    }
    fill("failures-more", run.failures_more ? plural(run.failures_more, "more failure is", "more failures are") + " in none of these groups." : "");
  };

  const facts = () => {
    const fact = (name, value) => (value === null ? [] : [make("dt", null, name), make("dd", null, value)]);
    const memory = run.memory;
    fill("facts",
      ...fact("Command line", run.command),
      ...fact("Began", moment(run.began)),
      ...fact(run.ended === null ? "Written" : "Ended", moment(run.ended === null ? run.written : run.ended)),
      ...fact("Goes on with", run.resumed ? plural(run.resumed, "record", "records") + " done before" : null),
      ...fact("Largest process", memory.worker === null ? null : bytes(memory.worker) + " of memory at most"),
      ...fact("mtask itself", bytes(memory.own) + " of memory at most"),
      ...fact("Held of --buffer", bytes(memory.held) + " of " + bytes(memory.limit) + " at most"),
      ...fact("mtask", run.version + ", on " + run.system),
      ...fact("Charts", "uPlot " + run.uplot + " (MIT)"));
  };

  // -- all of it, again and again

  const render = () => {
    document.title = (run.ended === null ? "" : run.status === 0 ? "✓ " : "✗ ") + (run.name || "mtask run");
    fill("title", run.name || "mtask run");
    verdict();
    tiles();
    workers();
    slowest();
    failures();
    facts();
    charts.forEach((one) => one.update());
    draw_lanes();
    const is_timed = run.p50.some((one) => one !== null);
    show("latency-none", !is_timed);
    show("latency", is_timed);
    // One that has just been shown did not know its width.
    if (is_timed && charts.length && charts[1].plot.width < 210) charts[1].fit();
  };

  const place = "mtask:" + location.pathname;
  const remember = () => {
    try {
      const parts = [...document.querySelectorAll("details[id]")].map((part) => [part.id, part.open]);
      sessionStorage.setItem(place, JSON.stringify({ opened: [...opened], parts }));
    } catch { /* Then a page that is loaded anew begins anew. */ }
  };
  const recall = () => {
    try {
      const before = JSON.parse(sessionStorage.getItem(place));
      before.opened.forEach((key) => opened.add(key));
      before.parts.forEach(([id, is_open]) => {
        if (at(id)) at(id).open = is_open;
      });
    } catch { /* The same. */ }
    for (const part of document.querySelectorAll("details[id]")) part.addEventListener("toggle", remember);
  };

  let frame = null;
  const ask = () => {
    if (run.ended !== null) return;
    if (frame) frame.remove();
    frame = make("iframe", { "aria-hidden": "true", tabindex: "-1", src: location.href.split(/[?#]/)[0] + "?" + Date.now() + "#numbers" });
    document.body.append(frame);
  };
  addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || typeof event.data !== "string") return;
    let next;
    try {
      next = JSON.parse(event.data);
    } catch {
      return;
    }
    if (next.written === run.written) return;
    changed = Date.now() / 1000;
    const is_over = next.ended !== null;
    run = next;
    render();
    if (is_over && frame) {
      frame.remove();
      frame = null;
    }
  });

  recall();
  follow_lanes();
  draw_charts();
  draw_key();
  render();
  if (run.ended === null) {
    setInterval(verdict, 1000);
    setInterval(ask, Math.max(1, run.every) * 1000);
  }
  const redraw = () => {
    draw_charts();
    draw_key();
    draw_lanes();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let wide = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === wide) return;
    wide = innerWidth;
    charts.forEach((one) => one.fit());
    draw_lanes();
  });
})();
