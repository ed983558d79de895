// What the pages do by themselves: parts that stay fresh, and an image under any window. Without it every page still works.
"use strict";

// A part that asks for itself anew while somebody looks at it and nobody types in it.
function keepFresh(part) {
  const seconds = Math.max(Number(part.dataset.seconds) || 5, 2);
  const busy = () => part.contains(document.activeElement) || [...part.querySelectorAll("input:not([type=hidden])")].some((one) => one.value);
  setInterval(async () => {
    if (document.hidden || busy()) return;
    try {
      const answer = await fetch(part.dataset.live, { credentials: "same-origin", redirect: "error" });
      if (answer.ok && !busy()) part.innerHTML = await answer.text();
    } catch {
      return; // the next time
    }
  }, seconds * 1000);
}

// Stored samples drawn under level and window, as the server draws them for who has no script.
async function view(viewer) {
  const told = viewer.dataset, canvas = viewer.querySelector("canvas"), picture = viewer.querySelector("img.picture");
  const controls = viewer.querySelector(".controls"), of = (name) => controls.querySelector(`[data-of="${name}"]`);
  const heat = viewer.querySelector("img.heat");
  const say = (input, text) => { const output = input.parentElement.querySelector("output"); if (output) output.textContent = text; };
  if (heat && of("heat")) {
    const blend = () => { heat.style.opacity = of("heat").value; say(of("heat"), `${Math.round(of("heat").value * 100)} %`); };
    of("heat").addEventListener("input", blend);
    blend();
  }
  const answer = await fetch(told.samples, { credentials: "same-origin" });
  if (!answer.ok) return;
  const samples = new Uint16Array(await answer.arrayBuffer());
  const pen = canvas.getContext("2d"), sheet = pen.createImageData(Number(told.columns), Number(told.rows));
  const low = Number(told.low), step = (Number(told.high) - low) / 65535, table = new Uint8ClampedArray(65536);
  const pixels = new Uint32Array(sheet.data.buffer);
  const draw = () => {
    const centre = Number(of("centre").value), width = Number(of("width").value), inverted = of("inverted").checked;
    for (let stored = 0; stored < 65536; stored++) {
      const share = Math.min(Math.max((low + stored * step - centre) / width + 0.5, 0), 1);
      table[stored] = Math.round((inverted ? 1 - share : share) * 255);
    }
    for (let place = 0; place < samples.length; place++) {
      const grey = table[samples[place]];
      pixels[place] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    pen.putImageData(sheet, 0, 0);
    say(of("centre"), Math.round(centre));
    say(of("width"), Math.round(width));
  };
  let asked = 0;
  const soon = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(draw); };
  for (const name of ["centre", "width", "inverted"]) of(name).addEventListener("input", soon);
  of("reset").addEventListener("click", () => {
    of("centre").value = told.centre;
    of("width").value = told.width;
    of("inverted").checked = told.inverted === "1";
    draw();
  });
  drag(canvas, of, draw);
  draw();
  picture.hidden = true;
  canvas.hidden = false;
  controls.hidden = false;
  viewer.dataset.ready = "1";
}

// As on a reading station: to the right is a wider window, down is a lower level.
function drag(canvas, of, draw) {
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, y: event.clientY, centre: Number(of("centre").value), width: Number(of("width").value) };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const span = Number(of("centre").max) - Number(of("centre").min);
    of("width").value = from.width + ((event.clientX - from.x) / 400) * span;
    of("centre").value = from.centre + ((event.clientY - from.y) / 400) * span;
    draw();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { from = null; });
}

document.querySelectorAll("[data-live]").forEach(keepFresh);
document.querySelectorAll(".viewer").forEach((viewer) => view(viewer).catch(() => {}));
