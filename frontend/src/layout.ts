/** Where houses stand: on a ring while they are few, in rows once they are many. */

export interface Point {
  x: number;
  y: number;
}

/** Size of the picture, and of a house in it. */
export interface Plan {
  width: number;
  height: number;
  size: number;
  /** How wide what is written below a house may be. */
  cell: number;
  points: Point[];
}

const RING_MAX = 8;
// On a narrow screen a ring of as many is too close for what is written below each house.
const NARROW = 500;
const NARROW_RING_MAX = 6;

/** Places for so many houses in a picture of a width; none lies on another one. */
export function plan(count: number, width: number): Plan {
  const room = Math.max(280, width);
  if (count <= (room < NARROW ? NARROW_RING_MAX : RING_MAX)) {
    const size = Math.max(44, Math.min(84, room / (count <= 4 ? 5 : 6.5)));
    const height = Math.min(room, count <= 2 ? size * 3 : Math.max(size * 4.4, Math.min(room * 0.66, 440)));
    const rx = room / 2 - size * 0.75;
    const ry = height / 2 - size * 0.8;
    const points = Array.from({ length: count }, (_, i) => {
      const angle = (i / count) * 2 * Math.PI - (count === 2 ? Math.PI : Math.PI / 2);
      return { x: room / 2 + rx * Math.cos(angle), y: height / 2 - size * 0.1 + ry * Math.sin(angle) };
    });
    return { width: room, height, size, cell: count <= 4 ? room / 2 : Math.max(size * 2, room / 4), points };
  }
  const columns = Math.max(3, Math.min(count, Math.floor(room / (count > 40 ? 58 : 76))));
  const cell = room / columns;
  const size = Math.min(60, cell * 0.62);
  const rows = Math.ceil(count / columns);
  const step = size * 1.75;
  const points = Array.from({ length: count }, (_, i) => {
    const row = Math.floor(i / columns);
    const inRow = row === rows - 1 ? count - row * columns : columns;
    return { x: room / 2 + (((i % columns) - (inRow - 1) / 2) * room) / columns, y: size * 0.8 + row * step };
  });
  return { width: room, height: rows * step + size * 0.4, size, cell, points };
}

/** About how wide a text of the picture is; letters that are no Latin ones are as wide as they are high. */
export function textWidth(text: string): number {
  return [...text].reduce((width, letter) => width + (/[\u0000-\u024f\u2000-\u206f]/.test(letter) ? 6.5 : 12), 0);
}

/** A text as far as there is room for it. */
export function cut(text: string, room: number): string {
  if (textWidth(text) <= room) return text;
  let found = "";
  for (const letter of text) {
    if (textWidth(`${found}${letter}…`) > room) break;
    found += letter;
  }
  return `${found}…`;
}

/** Places with those that somebody chose, as parts of the picture. */
export function placed(base: Plan, unitIds: string[], chosen: Record<string, Point>): Plan {
  const points = base.points.map((point, i) => {
    const own = chosen[unitIds[i] ?? ""];
    return own === undefined ? point : { x: own.x * base.width, y: own.y * base.height };
  });
  return { ...base, points };
}

/** A place within the picture, as parts of it. */
export function partOf(base: Plan, point: Point): Point {
  const margin = base.size / 2;
  const within = (value: number, size: number): number => Math.min(size - margin, Math.max(margin, value)) / size;
  return { x: within(point.x, base.width), y: within(point.y, base.height) };
}

const LINE_V = 350;

/** How wide a stream is: a pixel and a half, and one more for each 250 W, up to ten. */
export function streamWidth(currentA: number, voltageV: number | null): number {
  return Math.min(10, 1.5 + (Math.abs(currentA) * (voltageV !== null && voltageV > 50 ? voltageV : LINE_V)) / 250);
}

/** A curved way from one house to another, bent towards the middle so that two of them never lie on each other. */
export function stream(from: Point, to: Point, base: Plan, bend = 0): string {
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const centre = { x: base.width / 2, y: base.height / 2 };
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  // It comes out from behind the house.
  const gap = base.size * 0.25;
  const side = 18 * (bend + 1);
  const control = { x: middle.x + (centre.x - middle.x) * 0.35 - (dy / length) * side, y: middle.y + (centre.y - middle.y) * 0.35 + (dx / length) * side };
  const away = (point: Point): Point => {
    const distance = Math.hypot(control.x - point.x, control.y - point.y) || 1;
    return { x: point.x + ((control.x - point.x) / distance) * gap, y: point.y + ((control.y - point.y) / distance) * gap };
  };
  const begin = away(from);
  const end = away(to);
  const text = (point: Point): string => `${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
  return `M${text(begin)} Q${text(control)} ${text(end)}`;
}
