"use strict";
// Numbers as people read them.
const THIN = "\u202f";
const GAP = THIN;
const NONE = "–";

const whole = (number) => Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, THIN);
const short = (number) => {
  const rounded = number < 1000 ? Number(number.toPrecision(3)) : number;
  return rounded >= 1000 || Number.isInteger(rounded) ? whole(rounded) : rounded.toString();
};
const duration = (seconds) => {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds === 0) return "0" + GAP + "s";
  if (seconds < 1e-3) return short(seconds * 1e6) + GAP + "µs";
  if (seconds < 1) return short(seconds * 1e3) + GAP + "ms";
  if (seconds < 60) return short(seconds) + GAP + "s";
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes + GAP + "min " + Math.floor(seconds % 60) + GAP + "s";
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return hours + GAP + "h " + (minutes % 60) + GAP + "min";
  return Math.floor(hours / 24) + GAP + "d " + (hours % 24) + GAP + "h";
};
const bytes = (number) => {
  if (number === null || number === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return short(unit ? Number(number.toPrecision(3)) : number) + GAP + units[unit];
};
const rate = (number) => (number === null ? NONE : short(number) + "/s");
const percent = (part) => {
  const value = part * 100;
  return (value > 0 && value < 1 ? value.toPrecision(1) : Math.floor(value)) + GAP + "%";
};
const clock = (unix, options) => new Date(unix * 1000).toLocaleString([], options);
const moment = (unix) =>
  clock(unix, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
    second: "2-digit", hourCycle: "h23", timeZoneName: "short" });
const time = (unix) => clock(unix, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short" });
const plural = (count, one, many) => whole(count) + " " + (count === 1 ? one : many);
